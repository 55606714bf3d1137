"""One estimate for scripts: a base model, a GPU type and a few settings in, seconds, memory and GPU-hours out."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pydantic import BaseModel

from pricing.calibration.calibration import Calibration, Interval, RunKind
from pricing.calibration.width import Z_90, combine_spreads
from pricing.estimate.prediction_request import PredictionRequest, Range
from pricing.estimate.requested_run import RequestedRun, Way, describe_requested_run
from pricing.estimate.uncertainty import name_uncertainties
from pricing.resources.memory import FitJudgement, PeakMemory, compute_usable_gib, estimate_peak
from pricing.resources.run_work import RunWork
from pricing.resources.shipped_constants import load_memory_constants, load_memory_spread

SECONDS_PER_HOUR = 3600
PUBLISHED: Final = "published"


class Prediction(BaseModel):
    """Units: seconds of an optimizer step; GiB of one GPU; GPU-hours of all GPUs; tokens of all GPUs a second.

    `peak_vram_gib` is the p50 of `peak_vram`. `fits` is false only where even the leanest run that is known would not;
    `fit` tells surely (its p90 does) from tight. `gradient_checkpointing` is the likelier where it was not said.
    `uncertain` names what the intervals are wide for, a sentence each.
    """

    seconds_per_step: Range
    tokens_per_second: float | None
    samples_per_second: float
    peak_vram_gib: float
    peak_vram: Range
    gpu_hours: Range
    adapter_parameters: int
    fits: bool
    fit: FitJudgement
    gradient_checkpointing: bool
    uncertain: list[str]
    calibration: str
    calibration_runs: int


def predict(request: PredictionRequest, calibration: Calibration) -> Prediction:
    """Predict seconds, memory and GPU-hours of a published script's run.

    Raises: UnknownBaseModel, UnknownGpu, UnknownTargetModules, PredictionRefused.
    """
    run = describe_requested_run(request)
    step, whole, runs = _predict_time(run, calibration)
    peak = _predict_peak(run)
    samples_per_second = request.micro_batch * request.accumulation * request.gpus / step.p50
    is_measured = request.measured_seconds_per_step is not None
    fit = _judge_fit(run, peak)
    return Prediction(
        seconds_per_step=step,
        tokens_per_second=samples_per_second * run.mean_length if run.profile.is_text else None,
        samples_per_second=samples_per_second,
        peak_vram_gib=peak.p50,
        peak_vram=peak,
        gpu_hours=_scale(whole, request.gpus / SECONDS_PER_HOUR),
        adapter_parameters=run.likeliest.method.adapter_parameters,
        fits=fit is not FitJudgement.DOES_NOT_FIT,
        fit=fit,
        gradient_checkpointing=run.likeliest.method.checkpointing,
        uncertain=name_uncertainties(run, runs),
        calibration="probe" if is_measured else calibration.version,
        calibration_runs=runs,
    )


def _predict_time(run: RequestedRun, calibration: Calibration) -> tuple[Range, Range, int]:
    """Predict seconds of an optimizer step and of the whole run; tell how many finished runs gave them their width."""
    request, measured = run.request, run.request.measured_seconds_per_step
    if measured is None:
        step = _find_interval(run, lambda way: calibration.estimate_micro_batch(*_plan(run, way), run.gpu))
        whole = _find_interval(run, lambda way: calibration.estimate(*_plan(run, way), run.gpu))
        return _scale(step, request.accumulation), Range(p50=whole.p50, p90=whole.p90), whole.runs
    kind, work = _plan(run, run.likeliest)
    start = calibration.estimate(kind, replace(work, micro_batches=0), run.gpu).p50
    steps = request.steps
    return measured, Range(p50=start + steps * measured.p50, p90=start + steps * measured.p90), 0


def _plan(run: RequestedRun, way: Way) -> tuple[RunKind, RunWork]:
    profile, precision = run.profile, way.method.precision
    loaded = profile.parameters * profile.bytes_per_parameter
    kind = RunKind(run.gpu.sku, profile.family, precision, way.method.checkpointing, PUBLISHED)
    return kind, RunWork(way.work, run.request.steps * run.request.accumulation, precision, loaded_bytes=loaded)


def _find_interval(run: RequestedRun, estimate: Callable[[Way], Interval]) -> Interval:
    """Find the interval over all ways: its middle is theirs, and it is as much wider as they lie apart."""
    likeliest = estimate(run.likeliest)
    middle = run.find_middle(lambda way: estimate(way).p50)
    spread = combine_spreads(math.log(likeliest.p90 / likeliest.p50) / Z_90, middle.log_spread)
    return Interval(middle.value, middle.value * math.exp(Z_90 * spread), likeliest.runs)


def _predict_peak(run: RequestedRun) -> Range:
    middle = run.find_middle(lambda way: _estimate_peak(way).gib)
    spread = combine_spreads(load_memory_spread(run.profile.family), middle.log_spread)
    return Range(p50=middle.value, p90=middle.value * math.exp(Z_90 * spread))


def _estimate_peak(way: Way) -> PeakMemory:
    return estimate_peak(way.contents, load_memory_constants(PUBLISHED))


def _judge_fit(run: RequestedRun, peak: Range) -> FitJudgement:
    """Judge whether a run fits: surely where its p90 does, not at all where even the leanest way to run it does not."""
    usable = compute_usable_gib(run.gpu)
    if peak.p90 <= usable:
        return FitJudgement.FITS
    leanest = min(_estimate_peak(way).lean_gib for way in run.ways)
    return FitJudgement.TIGHT if leanest <= usable else FitJudgement.DOES_NOT_FIT


def _scale(interval: Range | Interval, factor: float) -> Range:
    return Range(p50=interval.p50 * factor, p90=interval.p90 * factor)
