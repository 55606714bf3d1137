"""Learning a calibration from runs that finished. Pure."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pricing.calibration.calibration import (
    Calibration,
    Key,
    Ratio,
    RunKind,
    get_published_width,
    has_learnt_width,
)
from pricing.calibration.coverage_level import follow_coverage
from pricing.calibration.support import find_middle, limit_error, shrink_mean
from pricing.catalog.gpu import GpuProfile
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.run_work import RUN_PRIORS, DeviceConstants, RunWork, compute_run_seconds
from pricing.resources.shipped_constants import load_device_constants
from pricing.resources.time import TIME_PRIORS

FOLDS = 5
RESIDUAL_SCALE = 0.08
# The runs of one installation are of one program, which may lie farther off than programs do in the mean.
LOOSENESS, LOOSENESS_ON_CPU = 3.0, 9.0
MAX_RUNS_OF_A_GPU = 200


@dataclass(frozen=True)
class FinishedRun:
    """One run that finished: its kind, its work, and the seconds that it held its GPUs.

    `kept_p90`: whether it stayed within the p90 that was quoted; None where the width of that was not learnt.
    """

    kind: RunKind
    work: RunWork
    seconds: float
    kept_p90: bool | None = None


def learn_calibration(
    finished: Sequence[FinishedRun],
    gpus: Mapping[str, GpuProfile],
    *,
    version: str,
    apart: Sequence[FinishedRun] = (),
) -> Calibration:
    """Learn from finished runs, in the order in which they finished; of a GPU type the last 200 count.

    Constants and the widths of trainings are learnt from trainings alone. Runs `apart`, labellings and checks, teach
    how far those take longer than is computed with these constants.
    The residuals are out of fold: each run's error under constants and ratios that were learnt without it.
    Raises: ValueError for seconds that are not positive and finite.
    Source: cross-conformal prediction (Vovk 2015, "Cross-conformal predictors"), 5 folds, on the log error.
    """
    runs, others = _keep_last(finished), _keep_last(apart)
    constants, residuals = _fit_all(runs, gpus), _measure_out_of_fold(runs, gpus)
    logs = _log_ratios(
        others, gpus, {run.kind.sku: constants.get(run.kind.sku) or load_device_constants() for run in others}
    )
    grouped = _group(runs, residuals) | _group(others, _measure_apart(others, logs))
    return Calibration(
        version=version,
        runs=len(runs),
        constants=constants,
        ratios=_shrink_ratios(runs, _log_ratios(runs, gpus, constants)) | _shrink_ratios(others, logs),
        residuals={key: tuple(sorted(found)) for key, found in grouped.items() if key},
        levels=_follow_levels(runs),
    )


def _measure_apart(runs: Sequence[FinishedRun], logs: Sequence[float]) -> list[float]:
    """Measure how far runs apart lie from the ratio that the others of their kind give, fold by fold."""
    residuals = [0.0] * len(runs)
    for fold in range(FOLDS):
        seen = [place for place in range(len(runs)) if place % FOLDS != fold]
        learnt = Calibration(ratios=_shrink_ratios([runs[place] for place in seen], [logs[place] for place in seen]))
        for place in range(fold, len(runs), FOLDS):
            residuals[place] = logs[place] - learnt.get_ratio(runs[place].kind).log
    return residuals


def _follow_levels(runs: Sequence[FinishedRun]) -> dict[str, float]:
    kept: dict[str, list[bool]] = defaultdict(list)
    for run in runs:
        if run.kept_p90 is not None:
            kept[run.kind.sku].append(run.kept_p90)
    return {sku: follow_coverage(of_sku) for sku, of_sku in kept.items()}


def _keep_last(finished: Sequence[FinishedRun]) -> list[FinishedRun]:
    for run in finished:
        if not 0 < run.seconds < math.inf:
            raise ValueError(f"a finished run has positive seconds below infinity, got {run}")
    by_sku: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in finished:
        by_sku[run.kind.sku].append(run)
    return [run for runs in by_sku.values() for run in runs[-MAX_RUNS_OF_A_GPU:]]


def _fit_all(runs: Sequence[FinishedRun], gpus: Mapping[str, GpuProfile]) -> dict[str, DeviceConstants]:
    skus = sorted({run.kind.sku for run in runs})
    return {sku: _fit_device([run for run in runs if run.kind.sku == sku], gpus[sku]) for sku in skus}


def _fit_device(runs: Sequence[FinishedRun], gpu: GpuProfile) -> DeviceConstants:
    believed = _believe_seconds(runs, gpu)

    def residuals(values: Mapping[str, float]) -> list[float]:
        constants = DeviceConstants.of(values)
        return [
            math.log(compute_run_seconds(run.work, gpu, constants) / seconds)
            for run, seconds in zip(runs, believed, strict=True)
        ]

    return DeviceConstants.of(fit_constants(list_priors(gpu), residuals, scale=RESIDUAL_SCALE))


def _believe_seconds(runs: Sequence[FinishedRun], gpu: GpuProfile) -> list[float]:
    """Return the seconds that constants are fitted to: of few runs, what the others do not support is limited.

    Among more the fit itself tells which are odd.
    """
    if has_learnt_width(len(runs)):
        return [run.seconds for run in runs]
    shipped = [compute_run_seconds(run.work, gpu, load_device_constants()) for run in runs]
    errors = [math.log(run.seconds / expected) for run, expected in zip(runs, shipped, strict=True)]
    middle = find_middle(errors, 0.0)
    return [
        expected * math.exp(limit_error(error, middle, get_published_width(run.kind.family)))
        for run, error, expected in zip(runs, errors, shipped, strict=True)
    ]


def list_priors(gpu: GpuProfile) -> dict[str, Prior]:
    """List where a fit starts: the shipped constants, held loosely on a CPU, which they are not made for."""
    looseness, shipped = LOOSENESS_ON_CPU if gpu.is_cpu else LOOSENESS, load_device_constants()
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
    """Shrink each key's ratio to that of the next wider one; a key with the very runs of that takes it as it is."""
    groups = _group(runs, logs)
    widths = _group(runs, [get_published_width(run.kind.family) for run in runs])
    ratios: dict[Key, Ratio] = {}
    for key in sorted(groups, key=len):
        found = groups[key]
        wider = ratios.get(key[:-1], Ratio(0.0, 0))
        is_same = len(found) == wider.runs
        ratios[key] = Ratio(wider.log if is_same else shrink_mean(found, wider.log, max(widths[key])), len(found))
    return ratios


def _group(runs: Sequence[FinishedRun], values: Sequence[float]) -> dict[Key, list[float]]:
    groups: dict[Key, list[float]] = defaultdict(list)
    for run, value in zip(runs, values, strict=True):
        for key in run.kind.list_keys():
            groups[key].append(value)
    return groups
