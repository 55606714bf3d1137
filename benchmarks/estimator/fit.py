"""Fitting the estimator's constants to published rows, and estimating rows with fitted constants."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from benchmarks.estimator.published import PublishedRow
from pricing.estimate.doubt import list_memory_doubts, list_time_doubts
from pricing.estimate.requested_run import Middle, RequestedRun, Way, describe_requested_run
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.memory import (
    MEMORY_PRIORS,
    FitJudgement,
    MemoryConstants,
    estimate_peak,
    weigh_contents,
    weigh_contents_in_use,
)
from pricing.resources.peak_contents import PeakContents
from pricing.resources.shipped_constants import Measured
from pricing.resources.time import TIME_PRIORS, TimeConstants, compute_micro_batch_seconds

# How far a figure of another program is expected to lie off, and one of the same program that has been calibrated.
SCALE_OF_STRANGERS = 0.25
SCALE_OF_ONE_SOURCE = 0.06
# As how many rows the rows of a program count at most: where all programs teach what a stranger's will do, and where
# what is measured is of one program, or how wide errors of such rows are.
ROWS_THAT_TEACH, INDEPENDENT_ROWS = 1, 4


@dataclass(frozen=True)
class PreparedRow:
    """A row with all that does not depend on the constants."""

    row: PublishedRow
    run: RequestedRun

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

    @cached_property
    def _doubts(self) -> dict[Measured, dict[str, float]]:
        of_memory = list_memory_doubts(self.run)
        if self.row.conditions.memory == "allocated":
            of_memory.pop("varies", None)  # what PyTorch keeps for later is in what it holds alone
        return {"time": list_time_doubts(self.run), "memory": of_memory}

    def list_doubts(self, measured: Measured) -> dict[str, float]:
        """List what is doubtful of the row's time or of its peak."""
        return self._doubts[measured]

    def estimate_seconds(self, constants: TimeConstants) -> Middle:
        """Estimate the seconds of an optimizer step as the row counts it, and how far the ways to run it lie apart.

        The mean step of a whole run of text has its part of what is done beside the steps.
        """

        def measure(way: Way) -> float:
            return compute_micro_batch_seconds(way.work, self.run.gpu, way.method.precision, constants)

        beside = constants.beside_steps if self.row.is_whole_run and self.run.profile.is_text else 1.0
        counted = self.row.request.accumulation * beside
        return self.run.find_middle(lambda way: counted * measure(way))

    def estimate_memory_gib(self, constants: MemoryConstants) -> Middle:
        """Estimate the peak as the row counts it: with or without the context and the allocator's gaps."""
        return self.run.find_middle_peak(lambda contents: self._weigh(contents, constants))

    def find_middle_gib(self, constants: MemoryConstants) -> float:
        """Find the middle of that estimate alone, which what was not said of the program moves not."""
        return self.run.find_middle(lambda way: self._weigh(way.contents, constants)).value

    def _weigh(self, contents: PeakContents, constants: MemoryConstants) -> float:
        counted = self.row.conditions.memory
        if counted == "allocated":
            return weigh_contents_in_use(contents, constants)
        parts = weigh_contents(contents, constants)
        return parts.total if counted == "driver" else parts.total - parts.context

    def is_said_not_to_fit(self, constants: MemoryConstants) -> bool:
        """Tell whether even the leanest way to run it is said to need more than the card has."""
        held = [contents for way in self.run.ways for contents in way.all_contents]
        judged = [estimate_peak(contents, constants).judge_fit(self.run.gpu) for contents in held]
        return all(judgement is FitJudgement.DOES_NOT_FIT for judgement in judged)


def prepare(row: PublishedRow) -> PreparedRow:
    """Count what a row's step and peak consist of. Raises: UnknownBaseModel, UnknownGpu, UnknownTargetModules."""
    return PreparedRow(row, describe_requested_run(row.request, quantization=row.quantization))


def fit_time(
    rows: Sequence[PreparedRow],
    priors: Mapping[str, Prior] = TIME_PRIORS,
    *,
    scale: float = SCALE_OF_STRANGERS,
    rows_of_a_program: int = ROWS_THAT_TEACH,
    near: TimeConstants | None = None,
) -> TimeConstants:
    """Fit the constants of time. `near`: what most of the same rows gave, which is sooner than from the priors."""

    def measure_error(row: PreparedRow, values: Mapping[str, float]) -> float:
        return math.log(row.estimate_seconds(TimeConstants(**values)).value / row.seconds)

    measured = [row for row in rows if row.row.seconds is not None]
    beliefs = _weigh(measured, rows_of_a_program)
    return TimeConstants(**_fit(measured, beliefs, priors, measure_error, scale=scale, near=near and asdict(near)))


def fit_memory(
    rows: Sequence[PreparedRow],
    priors: Mapping[str, Prior] = MEMORY_PRIORS,
    *,
    scale: float = 0.1,
    near: MemoryConstants | None = None,
) -> MemoryConstants:
    """Fit the constants of memory; `near` as of time."""

    def measure_error(row: PreparedRow, values: Mapping[str, float]) -> float:
        return math.log(row.find_middle_gib(MemoryConstants(**values)) / row.memory_gib)

    measured = [row for row in rows if row.row.memory_gib is not None]
    beliefs = _weigh(measured, ROWS_THAT_TEACH)
    return MemoryConstants(**_fit(measured, beliefs, priors, measure_error, scale=scale, near=near and asdict(near)))


def _fit(
    rows: Sequence[PreparedRow],
    beliefs: Sequence[float],
    priors: Mapping[str, Prior],
    measure_error: Callable[[PreparedRow, Mapping[str, float]], float],
    *,
    scale: float,
    near: Mapping[str, float] | None,
) -> dict[str, float]:
    def residuals(values: Mapping[str, float]) -> list[float]:
        return [belief * measure_error(row, values) for row, belief in zip(rows, beliefs, strict=True)]

    return fit_constants(priors, residuals, scale=scale, near=near)


def _weigh(rows: Sequence[PreparedRow], rows_of_a_program: int) -> list[float]:
    """Weigh a row less the more its program has: they share code and machine, and say no more than a few would."""
    counts = Counter(row.row.program for row in rows)
    return [min(1.0, math.sqrt(rows_of_a_program / counts[row.row.program])) for row in rows]
