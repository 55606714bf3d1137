"""Speed and memory of pictures beside the loop of diffusers' `train_text_to_image_lora.py`, and beside the floor."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.figures import Figure, RowResult, Side, describe_sides, try_peer
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
    job = PictureJob(kind, place.pick(SIDES[kind], 8), place.pick(BATCHES[kind], 2))
    floor = measure_floor(place, seconds=min(seconds / 20, 0.5))
    place.forget()
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as folder:
        ours = OurPictures(place, job, make_picture_config(place, job), Path(folder), drawn_on=place.device)
        least = floor.compute_seconds(count_flops(ours.step), count_moved_bytes(ours.family.model))
        our_seconds = place.measure(ours.step, seconds=seconds)
    our_side = Side(our_seconds, place.read_peak_gib())
    del ours
    place.forget()
    return describe(place, job, our_side, try_peer(partial(measure_theirs, place, job, seconds=seconds)), least)


def measure_theirs(place: Place, job: PictureJob, *, seconds: float) -> Side:
    took = place.measure(PeerPictures(place, job).step, seconds=seconds)
    return Side(took, place.read_peak_gib())


def describe(place: Place, job: PictureJob, ours: Side, peer: Side | None, least: float) -> RowResult:
    """Describe both sides, or ours where the peer did not fit; `least` are the floor's seconds."""
    name = f"{job.model}, {job.batch} pictures of {8 * job.side} px"
    figures = describe_sides(name, "pictures/s", job.batch, ours, peer, PEER, SPEED_BAR)
    over = ours.seconds / least
    figures.append(Figure(f"{name}: time over the floor", over, "times", f"{least:.4f} s at least", TIMES_FLOOR))
    runs = [describe_run(place, job, "lora-broker trainer", ours, encodes="no")]
    runs += [] if peer is None else [describe_run(place, job, PEER, peer, encodes="yes")]
    return RowResult(f"pictures {job.model}", figures, runs)


def describe_run(place: Place, job: PictureJob, program: str, side: Side, *, encodes: str) -> dict[str, Any]:
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
        "speed": side.seconds,
        "speed_unit": "s/step",
    }
    if side.gib:
        record |= {"memory": side.gib, "memory_unit": "GiB", "memory_counts": "allocated"}
    return record
