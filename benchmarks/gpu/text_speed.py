"""Speed and memory of text beside `transformers.Trainer` + peft, and beside the floor."""

from functools import partial

from benchmarks.gpu.figures import Figure, RowResult, Side, describe_sides, try_peer
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
    peer = try_peer(partial(measure_theirs, place, job, seconds=seconds))
    return describe(place, job, ours, peer, least, mixed=mixed)


def measure_theirs(place: Place, job: TextJob, *, seconds: float) -> Side:
    took = measure_peer(place, build_model(place, make_network(job.shape)), job, seconds=seconds)
    return Side(took, place.read_peak_gib())


def measure_ours(place: Place, job: TextJob, floor: Floor, *, seconds: float) -> tuple[Side, float]:
    """Measure a step of ours, and compute the floor's seconds."""
    ours, rows = OurText(place, build_model(place, make_network(job.shape)), make_config(place, job)), job.make_rows()
    step = partial(ours.step, rows)
    least = floor.compute_seconds(count_flops(step), count_moved_bytes(ours.family.model))
    return Side(place.measure(step, seconds=seconds), place.read_peak_gib()), least


def describe(place: Place, job: TextJob, ours: Side, peer: Side | None, least: float, *, mixed: bool) -> RowResult:
    """Describe both sides, or ours where the peer did not fit; `least` are the floor's seconds."""
    reaches_floor = least / ours.seconds >= SHARE_OF_FLOOR
    bar = MIXED_BAR if mixed else None if reaches_floor else FIXED_BAR
    figures = describe_sides(job.name, "tokens/s", sum(job.lengths), ours, peer, PEER, bar)
    over = ours.seconds / least
    figures.append(Figure(f"{job.name}: time over the floor", over, "times", f"{least:.4f} s at least", TIMES_FLOOR))
    runs = [describe_run(place, job, "lora-broker trainer", ours, kernels="fused", attention="flash")]
    runs += [] if peer is None else [describe_run(place, job, PEER, peer)]
    return RowResult(f"text {job.model} {'mixed' if mixed else 'fixed'}", figures, runs)


def describe_run(place: Place, job: TextJob, program: str, side: Side, **further: str) -> dict[str, str | int | float]:
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
        "speed": side.seconds,
        "speed_unit": "s/step",
    }
    if side.gib:
        record |= {"memory": side.gib, "memory_unit": "GiB", "memory_counts": "allocated"}
    return record | further
