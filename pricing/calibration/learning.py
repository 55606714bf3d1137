"""Learning a calibration from runs that finished. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median

from pricing.calibration.calibration import (
    NO_RATIO,
    Calibration,
    Key,
    Ratio,
    RunKind,
    get_published_width,
    has_learnt_width,
)
from pricing.calibration.change import Change, find_changes, measure_change
from pricing.calibration.coverage_level import follow_coverage
from pricing.calibration.support import PRIOR_RUNS, find_middle, limit_error, shrink_mean
from pricing.catalog.gpu import GpuProfile
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.run_work import RUN_PRIORS, DeviceConstants, RunWork, compute_run_seconds
from pricing.resources.shipped_constants import load_device_constants
from pricing.resources.time import TIME_PRIORS

FOLDS = 5
RESIDUAL_SCALE = 0.08
# Where a change is looked for, what runs differ in by is not to bend the constants.
SHAPE_SCALE = 0.15
# The runs of one installation are of one program, which may lie farther off than programs do in the mean.
LOOSENESS, LOOSENESS_ON_CPU = 3.0, 9.0
MAX_RUNS_OF_A_GPU = 200
# The name of what all of a card's runs have in common, beside the names of constants.
RATE = "rate"


@dataclass(frozen=True)
class FinishedRun:
    """One run that finished: its kind, its work, and the seconds that it held its GPUs.

    `kept_p90`: whether it stayed within the p90 that was quoted; None where the width of that was not learnt.
    """

    kind: RunKind
    work: RunWork
    seconds: float
    kept_p90: bool | None = None
    finished_at: datetime | None = None


def learn_calibration(
    finished: Sequence[FinishedRun],
    gpus: Mapping[str, GpuProfile],
    *,
    version: str,
    apart: Sequence[FinishedRun] = (),
) -> Calibration:
    """Learn from finished runs, in the order in which they finished; of a GPU type the last 200 count.

    Where a GPU type changed among them, only those since its last change count.

    Constants and the widths of trainings are learnt from trainings alone. Runs `apart`, labellings and checks, teach
    how far those take longer than is computed with these constants.
    The residuals are out of fold: each run's error under constants and ratios that were learnt without it.
    Raises: ValueError for seconds that are not positive and finite.
    Source: cross-conformal prediction (Vovk 2015, "Cross-conformal predictors"), 5 folds, on the log error.
    """
    runs, constants, changes = _fit_since_changes(_keep_last(finished), gpus)
    others = _keep_last(apart)
    taken = {run.kind.sku: constants.get(run.kind.sku) or load_device_constants() for run in others}
    others = _drop_changed(others, _log_ratios(others, gpus, taken))
    logs, residuals = _log_ratios(others, gpus, taken), _measure_out_of_fold(runs, gpus)
    grouped = _group(runs, residuals) | _group(others, _measure_apart(others, logs))
    return Calibration(
        version=version,
        runs=len(runs),
        constants=constants,
        ratios=_shrink_ratios(runs, _log_ratios(runs, gpus, constants)) | _shrink_ratios(others, logs),
        residuals={key: tuple(sorted(found)) for key, found in grouped.items() if key},
        levels=_follow_levels(runs),
        changes=changes,
    )


def _fit_since_changes(
    runs: Sequence[FinishedRun], gpus: Mapping[str, GpuProfile]
) -> tuple[list[FinishedRun], dict[str, DeviceConstants], dict[str, Change]]:
    """Fit the constants of each GPU type to its runs since its last change: return those runs, constants and changes.

    A change is looked for in what one rate and the shape of the work leave over, so that other work is none.
    """
    constants: dict[str, DeviceConstants] = {}
    kept: list[FinishedRun] = []
    changes: dict[str, Change] = {}
    for sku in dict.fromkeys(run.kind.sku for run in runs):
        of_sku = [run for run in runs if run.kind.sku == sku]
        errors = _center(of_sku, _measure_errors_of_shape(of_sku, gpus[sku]))
        places = find_changes(errors)
        since = of_sku[places[-1] :] if places else of_sku
        if places:
            ended = since[0].finished_at
            changes[sku] = Change(measure_change(errors, places), len(since), ended.isoformat() if ended else "")
        constants[sku] = _fit_device(since, gpus[sku])
        kept.extend(since)
    return kept, constants, changes


def _measure_errors_of_shape(runs: Sequence[FinishedRun], gpu: GpuProfile) -> list[float]:
    """Measure the log errors of runs under constants that are held as tightly as published runs hold them.

    Looser ones would bend to what a change did. How fast the installation is in all is left to a rate of its own.
    """

    def residuals(values: Mapping[str, float]) -> list[float]:
        constants = DeviceConstants.of({name: value for name, value in values.items() if name != RATE})
        return [math.log(values[RATE] * compute_run_seconds(run.work, gpu, constants) / run.seconds) for run in runs]

    priors = {**list_priors(gpu, 1.0), RATE: Prior(1.0, 1.0, "any installation")}
    return [-error for error in residuals(fit_constants(priors, residuals, scale=SHAPE_SCALE))]


def _drop_changed(runs: Sequence[FinishedRun], logs: Sequence[float]) -> list[FinishedRun]:
    """Drop the runs apart that came before the last change of their GPU type and family."""
    groups: dict[Key, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        groups[run.kind.list_keys()[0]].append(place)
    kept: list[int] = []
    for places in groups.values():
        changes = find_changes(_center([runs[at] for at in places], [logs[at] for at in places]))
        kept.extend(places[changes[-1] :] if changes else places)
    return [runs[place] for place in sorted(kept)]


def _center(runs: Sequence[FinishedRun], logs: Sequence[float]) -> list[float]:
    """Take from each log error the median of its kind of work, so that a kind which comes new is no change."""
    kinds = [run.kind._replace(trainer_version="") for run in runs]
    groups: dict[RunKind, list[float]] = defaultdict(list)
    for kind, error in zip(kinds, logs, strict=True):
        groups[kind].append(error)
    middles = {kind: median(found) for kind, found in groups.items()}
    return [error - middles[kind] for kind, error in zip(kinds, logs, strict=True)]


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


def list_priors(gpu: GpuProfile, looseness: float = LOOSENESS) -> dict[str, Prior]:
    """List where a fit starts: the shipped constants, held loosely on a CPU, which they are not made for."""
    looseness, shipped = LOOSENESS_ON_CPU if gpu.is_cpu else looseness, load_device_constants()
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
    """Shrink each key's ratio to that of the next wider one; a key with the very runs of that takes it as it is.

    A GPU type's is shrunk to what the others say, each as one: what changed one of them says little of a new one.
    """
    groups = _group(runs, logs)
    widths = _group(runs, [get_published_width(run.kind.family) for run in runs])
    alone = {key: shrink_mean(groups[key], 0.0, max(widths[key])) for key in groups if len(key) == 1}
    ratios: dict[Key, Ratio] = {}
    for key in sorted(groups, key=len):
        found = groups[key]
        if not key:
            ratios[key] = Ratio(_mean_of_cards(alone.values()), len(found))
            continue
        others = _mean_of_cards(log for card, log in alone.items() if card != key)
        wider = Ratio(others, 0) if len(key) == 1 else ratios.get(key[:-1], NO_RATIO)
        is_same = len(found) == wider.runs
        ratios[key] = Ratio(wider.log if is_same else shrink_mean(found, wider.log, max(widths[key])), len(found))
    return ratios


def _mean_of_cards(logs: Iterable[float]) -> float:
    found = list(logs)
    return sum(found) / (len(found) + PRIOR_RUNS)


def _group(runs: Sequence[FinishedRun], values: Sequence[float]) -> dict[Key, list[float]]:
    groups: dict[Key, list[float]] = defaultdict(list)
    for run, value in zip(runs, values, strict=True):
        for key in run.kind.list_keys():
            groups[key].append(value)
    return groups
