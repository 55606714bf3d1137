"""Fitting the estimator's constants to published rows, and estimating rows with fitted constants."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.estimator.published import PublishedRow
from pricing.catalog import get_base_model, get_gpu
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.prediction import choose_method, read_sizes
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.memory import MEMORY_PRIORS, MemoryConstants, weigh_contents
from pricing.resources.method import Method
from pricing.resources.peak_contents import MicroBatch, PeakContents, count_peak_contents
from pricing.resources.step_work import StepWork, count_step_work
from pricing.resources.time import TIME_PRIORS, TimeConstants, compute_micro_batch_seconds

# How far a figure of another program is expected to lie off, and one of the same program that has been calibrated.
SCALE_OF_STRANGERS = 0.25
SCALE_OF_ONE_SOURCE = 0.06
INDEPENDENT_ROWS = 8


@dataclass(frozen=True)
class PreparedRow:
    """A row with all that does not depend on the constants."""

    row: PublishedRow
    profile: BaseModelProfile
    gpu: GpuProfile
    method: Method
    work: StepWork
    contents: PeakContents

    @property
    def seconds(self) -> float:
        """The published seconds of an optimizer step. Raises: ValueError, where no speed was published."""
        if self.row.seconds is None:
            raise ValueError(f"{self.row.source} has no speed in this row")
        return self.row.seconds

    @property
    def memory_gib(self) -> float:
        """The published peak of one GPU. Raises: ValueError, where no peak was published."""
        if self.row.memory_gib is None:
            raise ValueError(f"{self.row.source} has no peak in this row")
        return self.row.memory_gib

    @property
    def mean_length(self) -> float:
        """The mean length of a sample in tokens; 0 for pictures."""
        return self.row.request.mean_tokens or self.row.request.sequence_length or 0

    def estimate_seconds(self, constants: TimeConstants) -> float:
        """Estimate the seconds of an optimizer step."""
        micro_batch = compute_micro_batch_seconds(self.work, self.gpu, self.method.precision, constants)
        return self.row.request.accumulation * micro_batch

    def estimate_memory_gib(self, constants: MemoryConstants) -> float:
        """Estimate the peak as the row counts it: with or without the context."""
        parts = weigh_contents(self.contents, constants)
        return parts.total if self.row.conditions.memory == "driver" else parts.total - parts.context


def prepare(row: PublishedRow) -> PreparedRow:
    """Count what a row's step and peak consist of.

    Raises: UnknownBaseModel, UnknownGpu, UnknownTargetModules.
    """
    request = row.request
    profile, gpu = get_base_model(request.base_model), get_gpu(request.gpu)
    longest, mean = read_sizes(request, profile)
    method, is_sharded = choose_method(request, profile, gpu, longest, quantization=row.quantization)
    encodes = row.conditions.encodes
    work = count_step_work(
        profile, method, samples=request.micro_batch, positions=mean, is_sharded=is_sharded, encodes=encodes
    )
    batch = MicroBatch(request.micro_batch, longest, is_sharded=is_sharded, encodes=encodes)
    return PreparedRow(row, profile, gpu, method, work, count_peak_contents(profile, method, batch))


def fit_time(
    rows: Sequence[PreparedRow], priors: Mapping[str, Prior] = TIME_PRIORS, *, scale: float = SCALE_OF_STRANGERS
) -> TimeConstants:
    def measure_error(row: PreparedRow, values: Mapping[str, float]) -> float:
        return math.log(row.estimate_seconds(TimeConstants(**values)) / row.seconds)

    measured = [row for row in rows if row.row.seconds is not None]
    return TimeConstants(**_fit(measured, priors, measure_error, scale=scale))


def fit_memory(
    rows: Sequence[PreparedRow], priors: Mapping[str, Prior] = MEMORY_PRIORS, *, scale: float = 0.15
) -> MemoryConstants:
    def measure_error(row: PreparedRow, values: Mapping[str, float]) -> float:
        return math.log(row.estimate_memory_gib(MemoryConstants(**values)) / row.memory_gib)

    measured = [row for row in rows if row.row.memory_gib is not None]
    return MemoryConstants(**_fit(measured, priors, measure_error, scale=scale))


def _fit(
    rows: Sequence[PreparedRow],
    priors: Mapping[str, Prior],
    measure_error: Callable[[PreparedRow, Mapping[str, float]], float],
    *,
    scale: float,
) -> dict[str, float]:
    beliefs = _weigh(rows)

    def residuals(values: Mapping[str, float]) -> list[float]:
        return [belief * measure_error(row, values) for row, belief in zip(rows, beliefs, strict=True)]

    return fit_constants(priors, residuals, scale=scale)


def _weigh(rows: Sequence[PreparedRow]) -> list[float]:
    """Weigh a row less the more its program has: they share code and machine, and say no more than a few would."""
    counts = Counter(row.row.program for row in rows)
    return [min(1.0, math.sqrt(INDEPENDENT_ROWS / counts[row.row.program])) for row in rows]
