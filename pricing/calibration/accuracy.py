"""The accuracy of estimates: their error, coverage and drift, judged by runs that are over. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist, median

from pricing.calibration.calibration import RunKind
from pricing.calibration.coverage import BandState, Coverage, judge_band, measure_coverage

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DRIFT_WINDOW = 20
MOST_WINDOWS = 60


@dataclass(frozen=True)
class JudgedRun:
    """What was estimated before a run, and what it took. Units: GPU-seconds.

    `has_ended` is false for one that was stopped at its quote, so that what it would have taken is more than `actual`.
    """

    job_id: str
    kind: RunKind
    calibration: str
    p50: float
    p90: float
    actual: float
    finished_at: datetime
    has_ended: bool = True

    @property
    def ratio(self) -> float:
        """Actual over estimated GPU-seconds: above 1 the run took longer."""
        return self.actual / self.p50

    @property
    def error(self) -> float:
        """The absolute error, as a share of the actual GPU-seconds."""
        return abs(self.p50 - self.actual) / self.actual

    def compute_quantile(self, level: float) -> float:
        """Compute the GPU-seconds that the run stays at or below with this probability.

        Only p50 and p90 are quoted. The others are those of the log-normal distribution that has this p50 and p90.
        """
        if level == 0.5:
            return self.p50
        if level == 0.9:
            return self.p90
        spread = math.log(self.p90 / self.p50) / NormalDist().inv_cdf(0.9)
        return self.p50 * math.exp(spread * NormalDist().inv_cdf(level))

    def is_covered(self, level: float) -> bool:
        return self.has_ended and self.actual <= self.compute_quantile(level)


@dataclass(frozen=True)
class Accuracy:
    """How good the estimates of some runs were: the median ratio and error, and the coverage of p50 and p90."""

    runs: int
    median_ratio: float
    median_error: float
    p50: Coverage
    p90: Coverage

    @property
    def band(self) -> BandState:
        return judge_band(self.p90.share, self.runs)


@dataclass(frozen=True)
class Group:
    """The runs that have one thing in common: `by` names what, `value` how it is for them."""

    by: str
    value: str
    accuracy: Accuracy


@dataclass(frozen=True)
class ReliabilityPoint:
    """How many runs should stay at or below a quantile, and how many did."""

    level: float
    observed: Coverage


@dataclass(frozen=True)
class DriftWindow:
    """The accuracy of runs that finished one after another, between the two times."""

    started_at: datetime
    ended_at: datetime
    accuracy: Accuracy


@dataclass(frozen=True)
class AccuracyReport:
    """The accuracy of runs that are over: overall, by group, by level of quantile and over time.

    `runs` are in the order in which they finished. `points` are those of a reliability diagram.
    """

    runs: tuple[JudgedRun, ...]
    overall: Accuracy
    groups: tuple[Group, ...]
    points: tuple[ReliabilityPoint, ...]
    drift: tuple[DriftWindow, ...]


DIMENSIONS: Mapping[str, Callable[[JudgedRun], str]] = {
    "gpu": lambda run: run.kind.sku,
    "family": lambda run: run.kind.family,
    "precision": lambda run: run.kind.precision,
    "checkpointing": lambda run: "on" if run.kind.checkpointing else "off",
    "trainer_version": lambda run: run.kind.trainer_version,
    "calibration": lambda run: run.calibration,
}


def judge_runs(runs: Sequence[JudgedRun]) -> AccuracyReport | None:
    """Judge how far off the estimates of these runs were; None where there is no run to judge."""
    if not runs:
        return None
    ordered = tuple(sorted(runs, key=lambda run: (run.finished_at, run.job_id)))
    return AccuracyReport(
        runs=ordered,
        overall=measure_accuracy(ordered),
        groups=tuple(group for by in DIMENSIONS for group in _group_by(by, ordered)),
        points=tuple(ReliabilityPoint(level, _cover(ordered, level)) for level in LEVELS),
        drift=tuple(map(_measure_window, _list_windows(ordered))),
    )


def measure_accuracy(runs: Sequence[JudgedRun]) -> Accuracy:
    """Measure the errors and the coverage of some runs. Raises: ValueError without runs."""
    return Accuracy(
        runs=len(runs),
        median_ratio=median(run.ratio for run in runs),
        median_error=median(run.error for run in runs),
        p50=_cover(runs, 0.5),
        p90=_cover(runs, 0.9),
    )


def _cover(runs: Sequence[JudgedRun], level: float) -> Coverage:
    return measure_coverage(sum(run.is_covered(level) for run in runs), len(runs))


def _group_by(by: str, runs: Sequence[JudgedRun]) -> list[Group]:
    """Group the runs by one dimension, the largest group first."""
    members: dict[str, list[JudgedRun]] = {}
    for run in runs:
        members.setdefault(DIMENSIONS[by](run), []).append(run)
    groups = [Group(by, value, measure_accuracy(found)) for value, found in members.items()]
    return sorted(groups, key=lambda group: (-group.accuracy.runs, group.value))


def _list_windows(runs: Sequence[JudgedRun]) -> list[Sequence[JudgedRun]]:
    """List rolling windows of 20 runs, the last one up to now; of a long history at most 60, evenly spaced."""
    step = max(1, math.ceil((len(runs) - DRIFT_WINDOW + 1) / MOST_WINDOWS))
    ends = range(len(runs), DRIFT_WINDOW - 1, -step)
    return [runs[end - DRIFT_WINDOW : end] for end in reversed(ends)]


def _measure_window(window: Sequence[JudgedRun]) -> DriftWindow:
    return DriftWindow(window[0].finished_at, window[-1].finished_at, measure_accuracy(window))
