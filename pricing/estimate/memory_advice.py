"""What to change when a run does not fit into memory, by the estimator's numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pricing.catalog.gpu import Precision
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import resolve_precision
from pricing.resources.trainer_memory import estimate_trainer_peak
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

SMALLER_RANK = 4
SMALLER_SIDES = (0.75, 0.5)
SIDE_UNIT = 64  # pixels: what buckets are made of


@dataclass(frozen=True)
class Fit:
    """One change of the configuration, and the peak GiB that the run is estimated to need with it."""

    changes: dict[str, Any]
    gib: float

    def describe(self) -> str:
        written = ", ".join(f"{key}: {str(value).lower()}" for key, value in self.changes.items())
        return f"{written} ({self.gib:.1f} GiB)"


def list_fits(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    *,
    precision: Precision,
    available_gib: float,
    on_gpu: bool,
) -> list[Fit]:
    """List the changes that would fit, the least costly first: those that leave every step as it is, then the others.

    The run that is told of has run out of memory in a step already, so each of its steps must also need a tenth less
    than is estimated of them: a smaller batch does not change what pictures took before, while they were encoded.
    Raises: UnknownTargetModules.
    """
    now = estimate_trainer_peak(profile, config, workload, precision=precision, on_cpu=not on_gpu)
    limit = 0.9 * now.step.total
    fits = []
    possible = [
        *_list_changes(config, precision=precision, on_gpu=on_gpu),
        *_list_coarser(profile, config, on_gpu=on_gpu),
    ]
    for changes in possible:
        changed = config.model_copy(update=changes)
        smaller = _shrink(workload, profile, config, changed)
        peak = estimate_trainer_peak(profile, changed, smaller, precision=precision, on_cpu=not on_gpu)
        if peak.gib <= available_gib and peak.step.total <= limit:
            fits.append(Fit(changes, peak.gib))
    return fits


def _list_changes(config: TrainingConfig, *, precision: Precision, on_gpu: bool) -> Iterator[dict[str, Any]]:
    recomputing: dict[str, Any] = {"gradient_checkpointing": True}
    if config.gradient_checkpointing is not True:
        yield recomputing
    smaller = [_split_batch(config, size) for size in (2, 1) if size < config.batch_size]
    yield from smaller
    yield from (recomputing | changes for changes in smaller)
    if on_gpu and resolve_precision(config, precision) == "fp32":
        yield {"precision": "bf16"}
        yield recomputing | (smaller[-1] if smaller else {}) | {"precision": "bf16"}
    if config.lora_rank > SMALLER_RANK:
        yield {"lora_rank": SMALLER_RANK}
        yield recomputing | (smaller[-1] if smaller else {}) | {"lora_rank": SMALLER_RANK}


def _list_coarser(profile: BaseModelProfile, config: TrainingConfig, *, on_gpu: bool) -> Iterator[dict[str, Any]]:
    """List what trains something else: a base in 4 bit, smaller pictures."""
    if on_gpu and profile.is_text and config.quantization == "none":
        yield {"quantization": "4bit"}
        yield {"quantization": "4bit", "gradient_checkpointing": True} | _split_batch(config, 1)
    side = config.resolution or profile.resolution
    if side is not None and not profile.is_text:
        for share in SMALLER_SIDES:
            yield {"resolution": max(SIDE_UNIT, round(side * share) // SIDE_UNIT * SIDE_UNIT)}


def _shrink(workload: Workload, profile: BaseModelProfile, config: TrainingConfig, changed: TrainingConfig) -> Workload:
    """Make the pictures of a workload as much smaller as a change does."""
    before, after = (of.resolution or profile.resolution for of in (config, changed))
    if before is None or after is None or before == after:
        return workload
    share = (after / before) ** 2
    return replace(
        workload, positions=round(workload.positions * share), longest=max(1, round(workload.longest * share))
    )


def _split_batch(config: TrainingConfig, size: int) -> dict[str, Any]:
    """Make the batch smaller, and accumulate as much more where that leaves the rows of a step, so the quote, as is."""
    if config.rows_per_step % size:
        return {"batch_size": size}
    return {"batch_size": size, "gradient_accumulation": config.rows_per_step // size}
