"""Speed and memory of text beside `transformers.Trainer` + peft, and beside the floor."""

from functools import partial

from benchmarks.gpu.figures import Figure, RowResult, compare
from benchmarks.gpu.floor import Floor, count_flops, count_moved_bytes, measure_floor
from benchmarks.gpu.peer_text import measure_peer
from benchmarks.gpu.text_models import RANK, TARGETS, OurText, TextJob, build_model, make_config, make_job, make_network
from benchmarks.gpu.where import Place

PEER = "transformers.Trainer + peft"
MIXED_BAR, FIXED_BAR, SHARE_OF_FLOOR, TIMES_FLOOR = 1.5, 1.3, 0.8, 2.0


def measure(place: Place, model: str, *, mixed: bool, seconds: float) -> RowResult:
    """Measure both sides in turn on the same random model; a step of ours is counted for the floor."""
    job = make_job(place, model, mixed=mixed)
    floor = measure_floor(place, seconds=min(seconds / 20, 0.5))
    place.forget()
    ours, least = measure_ours(place, job, floor, seconds=seconds)
    place.forget()
    peer_seconds = measure_peer(place, build_model(place, make_network(job.shape)), job, seconds=seconds)
    return describe(place, job, ours, (peer_seconds, place.read_peak_gib()), least, mixed=mixed)


def measure_ours(place: Place, job: TextJob, floor: Floor, *, seconds: float) -> tuple[tuple[float, float], float]:
    """Measure the seconds of a step and the GiB of ours, and compute the floor's seconds."""
    ours, rows = OurText(place, build_model(place, make_network(job.shape)), make_config(place, job)), job.make_rows()
    step = partial(ours.step, rows)
    least = floor.compute_seconds(count_flops(step), count_moved_bytes(ours.family.model))
    return (place.measure(step, seconds=seconds), place.read_peak_gib()), least


def describe(
    place: Place, job: TextJob, ours: tuple[float, float], peer: tuple[float, float], least: float, *, mixed: bool
) -> RowResult:
    """Describe the seconds of a step and GiB of both sides; `least` are the floor's seconds."""
    tokens = sum(job.lengths)
    speeds = tokens / ours[0], tokens / peer[0]
    reaches_floor = least / ours[0] >= SHARE_OF_FLOOR
    bar = MIXED_BAR if mixed else None if reaches_floor else FIXED_BAR
    figures = [
        compare(f"{job.name}: speed", *speeds, "tokens/s", PEER, bar),
        Figure(f"{job.name}: time over the floor", ours[0] / least, "times", f"{least:.4f} s at least", TIMES_FLOOR),
    ]
    if peer[1]:
        beside = f"{ours[1]:.1f} against {peer[1]:.1f} GiB"
        figures.append(Figure(f"{job.name}: peak memory", ours[1] / peer[1], "times", beside, 1.0))
    programs = (("lora-broker trainer", ours, {"kernels": "fused", "attention": "flash"}), (PEER, peer, {}))
    return RowResult(
        f"text {job.model} {'mixed' if mixed else 'fixed'}",
        figures,
        [describe_run(place, job, program, *measured, **further) for program, measured, further in programs],
    )


def describe_run(
    place: Place, job: TextJob, program: str, seconds: float, gib: float, **further: str
) -> dict[str, str | int | float]:
    """Describe a run as the estimator reads it."""
    record: dict[str, str | int | float] = {
        "source": f"make bench-gpu, {place.name}",
        "program": program,
        "serves": "fit",
        "model": job.model,
        "gpu": place.gpu,
        "gpus": 1,
        "method": "lora",
        "precision": place.precision,
        "rank": RANK,
        "target_modules": ",".join(TARGETS),
        "micro_batch": len(job.lengths),
        "accumulation": 1,
        "sequence_length": max(job.lengths),
        "mean_tokens": sum(job.lengths) / len(job.lengths),
        "gradient_checkpointing": "no",
        "kernels": "usual",
        "speed": seconds,
        "speed_unit": "s/step",
    }
    if gib:
        record |= {"memory": gib, "memory_unit": "GiB", "memory_counts": "allocated"}
    return record | further
