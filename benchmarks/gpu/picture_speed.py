"""Speed and memory of pictures beside the loop of diffusers' `train_text_to_image_lora.py`, and beside the floor."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.figures import Figure, RowResult, compare
from benchmarks.gpu.floor import count_flops, count_moved_bytes, measure_floor
from benchmarks.gpu.peer_pictures import PeerPictures
from benchmarks.gpu.picture_models import RANK, OurPictures, PictureJob, make_picture_config
from benchmarks.gpu.where import Place
from trainer.families.stable_diffusion.configs import Kind

PEER = "diffusers' LoRA script"
SPEED_BAR, TIMES_FLOOR = 1.5, 2.0
SIDES = {"sd15": 64, "sdxl": 128}
BATCHES = {"sd15": 8, "sdxl": 4}


def measure(place: Place, kind: Kind, *, seconds: float) -> RowResult:
    job = PictureJob(kind, place.pick(SIDES[kind], 16), place.pick(BATCHES[kind], 2))
    floor = measure_floor(place, seconds=min(seconds / 20, 0.5))
    place.forget()
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as folder:
        ours = OurPictures(place, job, make_picture_config(place, job), Path(folder), drawn_on=place.device)
        least = floor.compute_seconds(count_flops(ours.step), count_moved_bytes(ours.family.model))
        our_seconds = place.measure(ours.step, seconds=seconds)
    our_gib = place.read_peak_gib()
    del ours
    place.forget()
    peer = PeerPictures(place, job)
    peer_seconds = place.measure(peer.step, seconds=seconds)
    return describe(place, job, (our_seconds, our_gib), (peer_seconds, place.read_peak_gib()), least)


def describe(
    place: Place, job: PictureJob, ours: tuple[float, float], peer: tuple[float, float], least: float
) -> RowResult:
    """Describe the seconds of a step and GiB of both sides; `least` are the floor's seconds."""
    name = f"{job.model}, {job.batch} pictures of {8 * job.side} px"
    figures = [
        compare(f"{name}: speed", job.batch / ours[0], job.batch / peer[0], "pictures/s", PEER, SPEED_BAR),
        Figure(f"{name}: time over the floor", ours[0] / least, "times", f"{least:.4f} s at least", TIMES_FLOOR),
    ]
    if peer[1]:
        beside = f"{ours[1]:.1f} against {peer[1]:.1f} GiB"
        figures.append(Figure(f"{name}: peak memory", ours[1] / peer[1], "times", beside, 1.0))
    runs = [
        describe_run(place, job, "lora-broker trainer", *ours, encodes="no"),
        describe_run(place, job, PEER, *peer, encodes="yes"),
    ]
    return RowResult(f"pictures {job.model}", figures, runs)


def describe_run(
    place: Place, job: PictureJob, program: str, seconds: float, gib: float, *, encodes: str
) -> dict[str, Any]:
    """Describe a run as the estimator reads it."""
    record: dict[str, Any] = {
        "source": f"make bench-gpu, {place.name}",
        "program": program,
        "serves": "fit",
        "model": job.model,
        "gpu": place.gpu,
        "gpus": 1,
        "method": "lora",
        "precision": place.precision,
        "rank": RANK,
        "micro_batch": job.batch,
        "accumulation": 1,
        "resolution": 8 * job.side,
        "gradient_checkpointing": "no",
        "kernels": "usual",
        "encodes": encodes,
        "speed": seconds,
        "speed_unit": "s/step",
    }
    if gib:
        record |= {"memory": gib, "memory_unit": "GiB", "memory_counts": "allocated"}
    return record
