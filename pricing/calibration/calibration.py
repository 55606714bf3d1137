"""Calibration: how far estimates were off, learnt from runs that finished, and how wide an interval must be. Pure.

Three layers, each on what the one before leaves over: the constants of a GPU type, fitted to the installation's runs on
it; the mean ratio of runs of one kind, shrunk to that of wider kinds; and conformal quantiles of what is left, at a
level that follows how many runs kept theirs.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pricing.calibration.coverage_level import WANTED, follow_coverage
from pricing.catalog.gpu import GpuProfile
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.run_work import RUN_PRIORS, DeviceConstants, RunWork, compute_run_seconds
from pricing.resources.shipped_constants import load_device_constants, load_log_spread
from pricing.resources.time import TIME_PRIORS, compute_micro_batch_seconds

FOLDS = 5
# A kind's mean ratio counts against that of the next wider kind as if that had been seen in so many runs.
PRIOR_RUNS = 3
RESIDUAL_SCALE = 0.08
# With fewer runs there is no ninth tenth: the (n + 1)·0.9-th smallest of n residuals exists from nine on.
FEWEST_RESIDUALS = 9
Z_90 = 1.2816
MAX_RUNS_OF_A_GPU = 200

Key = tuple[str, ...]


@dataclass(frozen=True)
class RunKind:
    """What runs that err alike have in common."""

    sku: str
    family: str
    precision: str
    checkpointing: bool
    trainer_version: str

    def list_keys(self) -> list[Key]:
        """The keys that runs of this kind are counted under, the widest first."""
        narrow = (self.sku, self.family, self.precision, f"checkpointing={self.checkpointing}", self.trainer_version)
        return [narrow[:length] for length in range(len(narrow) + 1)]


@dataclass(frozen=True)
class FinishedRun:
    """One run that finished: its kind, its work, and the seconds that it held its GPUs.

    `kept_p90`: whether it stayed within the p90 that was quoted; None where the width of that was not learnt.
    """

    kind: RunKind
    work: RunWork
    seconds: float
    kept_p90: bool | None = None


@dataclass(frozen=True)
class Interval:
    """Seconds of a run. `runs` is how many finished runs the width was learnt from; 0: from published figures only."""

    p50: float
    p90: float
    runs: int

    @property
    def has_learnt_width(self) -> bool:
        return has_learnt_width(self.runs)


def has_learnt_width(runs: int) -> bool:
    """Whether so many finished runs gave an interval its width; with fewer it has that of published figures."""
    return runs >= FEWEST_RESIDUALS


@dataclass(frozen=True)
class Ratio:
    """The mean log(actual / computed) of runs of one key, shrunk to that of the next wider one."""

    log: float
    runs: int


@dataclass(frozen=True)
class Calibration:
    """What has been learnt so far. `version` names it; a quote keeps the name of the one it was made with."""

    version: str = "published"
    runs: int = 0
    constants: Mapping[str, DeviceConstants] = field(default_factory=dict)
    ratios: Mapping[Key, Ratio] = field(default_factory=dict)
    residuals: Mapping[Key, tuple[float, ...]] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)

    def estimate(self, kind: RunKind, work: RunWork, gpu: GpuProfile) -> Interval:
        """p50 and p90 of the seconds of a run."""
        return self._widen(kind, compute_run_seconds(work, gpu, self.find_constants(kind.sku)))

    def estimate_micro_batch(self, kind: RunKind, work: RunWork, gpu: GpuProfile) -> Interval:
        """p50 and p90 of the seconds of one micro-batch of a run."""
        steps = self.find_constants(kind.sku).steps
        return self._widen(kind, compute_micro_batch_seconds(work.micro_batch, gpu, work.precision, steps))

    def find_constants(self, sku: str) -> DeviceConstants:
        return self.constants.get(sku) or load_device_constants()

    def _widen(self, kind: RunKind, computed: float) -> Interval:
        expected = computed * math.exp(self.find_ratio(kind).log)
        residuals = self._find_residuals(kind)
        if not has_learnt_width(len(residuals)):
            return Interval(expected, expected * math.exp(Z_90 * load_log_spread()), len(residuals))
        place = math.ceil((len(residuals) + 1) * self.levels.get(kind.sku, WANTED))
        upper = max(residuals[min(place, len(residuals)) - 1], 0.0)
        return Interval(expected, expected * math.exp(upper), len(residuals))

    def find_ratio(self, kind: RunKind) -> Ratio:
        for key in reversed(kind.list_keys()):
            if key in self.ratios:
                return self.ratios[key]
        return Ratio(0.0, 0)

    def _find_residuals(self, kind: RunKind) -> tuple[float, ...]:
        """Those of the narrowest key that has enough of them; of the sku, where none has."""
        keys = kind.list_keys()
        for key in reversed(keys[1:]):
            found = self.residuals.get(key, ())
            if len(found) >= FEWEST_RESIDUALS:
                return found
        return self.residuals.get(keys[1], ())

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "runs": self.runs,
            "constants": {sku: asdict(found) for sku, found in self.constants.items()},
            "ratios": [[list(key), ratio.log, ratio.runs] for key, ratio in self.ratios.items()],
            "residuals": [[list(key), list(found)] for key, found in self.residuals.items()],
            "levels": dict(self.levels),
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "Calibration":
        return cls(
            version=written["version"],
            runs=written["runs"],
            constants={
                sku: DeviceConstants.of(found["steps"] | found["run"]) for sku, found in written["constants"].items()
            },
            ratios={tuple(key): Ratio(log, runs) for key, log, runs in written["ratios"]},
            residuals={tuple(key): tuple(found) for key, found in written["residuals"]},
            levels=written.get("levels", {}),  # versions of before have none
        )


def learn_calibration(finished: Sequence[FinishedRun], gpus: Mapping[str, GpuProfile], *, version: str) -> Calibration:
    """Learn from finished runs, in the order in which they finished; of a GPU type the last 200 count.

    The residuals are out of fold: each run's error under constants and ratios that were learnt without it.
    Raises: ValueError for seconds that are not positive.
    Source: cross-conformal prediction (Vovk 2015, "Cross-conformal predictors"), 5 folds, on the log error.
    """
    runs = _keep_last(finished)
    constants, residuals = _fit_all(runs, gpus), _measure_out_of_fold(runs, gpus)
    logs = [
        math.log(run.seconds / compute_run_seconds(run.work, gpus[run.kind.sku], constants[run.kind.sku]))
        for run in runs
    ]
    return Calibration(
        version=version,
        runs=len(runs),
        constants=constants,
        ratios=_shrink_ratios(runs, logs),
        residuals={key: tuple(sorted(found)) for key, found in _group(runs, residuals).items() if key},
        levels=_follow_levels(runs),
    )


def _follow_levels(runs: Sequence[FinishedRun]) -> dict[str, float]:
    kept: dict[str, list[bool]] = defaultdict(list)
    for run in runs:
        if run.kept_p90 is not None:
            kept[run.kind.sku].append(run.kept_p90)
    return {sku: follow_coverage(of_sku) for sku, of_sku in kept.items()}


def _keep_last(finished: Sequence[FinishedRun]) -> list[FinishedRun]:
    for run in finished:
        if run.seconds <= 0:
            raise ValueError(f"a finished run has positive seconds, got {run}")
    by_sku: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in finished:
        by_sku[run.kind.sku].append(run)
    return [run for runs in by_sku.values() for run in runs[-MAX_RUNS_OF_A_GPU:]]


def _fit_all(runs: Sequence[FinishedRun], gpus: Mapping[str, GpuProfile]) -> dict[str, DeviceConstants]:
    skus = sorted({run.kind.sku for run in runs})
    return {sku: _fit_device([run for run in runs if run.kind.sku == sku], gpus[sku]) for sku in skus}


def _fit_device(runs: Sequence[FinishedRun], gpu: GpuProfile) -> DeviceConstants:
    def residuals(values: Mapping[str, float]) -> list[float]:
        constants = DeviceConstants.of(values)
        return [math.log(compute_run_seconds(run.work, gpu, constants) / run.seconds) for run in runs]

    return DeviceConstants.of(fit_constants(list_priors(gpu), residuals, scale=RESIDUAL_SCALE))


def list_priors(gpu: GpuProfile) -> dict[str, Prior]:
    """Where an installation's fit starts: the shipped constants; held loosely on a CPU, which they are not made for."""
    looseness, shipped = 3.0 if gpu.is_cpu else 1.0, load_device_constants()
    values = asdict(shipped.steps) | asdict(shipped.run)
    return {
        name: Prior(values[name], prior.spread * looseness, prior.source)
        for name, prior in (TIME_PRIORS | RUN_PRIORS).items()
    }


def _measure_out_of_fold(runs: Sequence[FinishedRun], gpus: Mapping[str, GpuProfile]) -> list[float]:
    residuals = [0.0] * len(runs)
    for fold in range(FOLDS):
        seen = [run for place, run in enumerate(runs) if place % FOLDS != fold]
        constants = _fit_all(seen, gpus)
        learnt = Calibration(constants=constants, ratios=_shrink_ratios(seen, _log_ratios(seen, gpus, constants)))
        for place in range(fold, len(runs), FOLDS):
            run = runs[place]
            expected = learnt.estimate(run.kind, run.work, gpus[run.kind.sku]).p50
            residuals[place] = math.log(run.seconds / expected)
    return residuals


def _log_ratios(
    runs: Sequence[FinishedRun], gpus: Mapping[str, GpuProfile], constants: Mapping[str, DeviceConstants]
) -> list[float]:
    return [
        math.log(run.seconds / compute_run_seconds(run.work, gpus[run.kind.sku], constants[run.kind.sku]))
        for run in runs
    ]


def _shrink_ratios(runs: Sequence[FinishedRun], logs: Sequence[float]) -> dict[Key, Ratio]:
    """From wide to narrow: (runs × mean + 3 × the wider key's ratio) / (runs + 3)."""
    groups = _group(runs, logs)
    ratios: dict[Key, Ratio] = {}
    for key in sorted(groups, key=len):
        wider = ratios[key[:-1]].log if key else 0.0
        found = groups[key]
        ratios[key] = Ratio((sum(found) + PRIOR_RUNS * wider) / (len(found) + PRIOR_RUNS), len(found))
    return ratios


def _group(runs: Sequence[FinishedRun], values: Sequence[float]) -> dict[Key, list[float]]:
    groups: dict[Key, list[float]] = defaultdict(list)
    for run, value in zip(runs, values, strict=True):
        for key in run.kind.list_keys():
            groups[key].append(value)
    return groups
