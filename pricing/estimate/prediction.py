"""One estimate for scripts: a base model, a GPU type and a few settings in, seconds, memory and GPU-hours out."""

import math
from collections.abc import Callable
from typing import Final

from pydantic import BaseModel, Field

from pricing.calibration.calibration import Calibration, Interval, RunKind
from pricing.calibration.width import Z_90, combine_spreads
from pricing.estimate.doubt import find_spread
from pricing.estimate.prediction_request import MeasuredSeconds, PredictionRequest
from pricing.estimate.requested_run import RequestedRun, Way, describe_requested_run
from pricing.estimate.uncertainty import name_uncertainties
from pricing.resources.memory import FitJudgement, PeakMemory, compute_usable_gib, estimate_peak
from pricing.resources.peak_contents import PeakContents
from pricing.resources.run_work import RunWork
from pricing.resources.shipped_constants import load_device_constants, load_memory_constants

SECONDS_PER_HOUR = 3600
PUBLISHED: Final = "published"


class Range(BaseModel):
    """An amount: half of such runs stay within p50, nine of ten within p90."""

    p50: float = Field(gt=0, allow_inf_nan=False)
    p90: float = Field(gt=0, allow_inf_nan=False)


class PeakParts(BaseModel):
    """What a peak consists of, GiB, where the program goes the likeliest way."""

    weights: float = Field(description="The base, and the encoders that stay in memory.")
    adapter: float = Field(description="The adapter, its gradients and the optimizer's moments.")
    activations: float = Field(description="What is kept for the backward pass, an eager attention's scores included.")
    logits: float = Field(description="Logits and what the loss makes of them; 0 for pictures.")
    pictures: float = Field(description="What encoding pictures takes beyond activations; 0 where they are cached.")
    context: float = Field(description="CUDA, cuBLAS and what is never used.")
    allocator: float = Field(description="What rows of different lengths leave unusable.")


class Prediction(BaseModel):
    """What a run is expected to need. Each field says its unit."""

    seconds_per_step: Range = Field(description="Seconds of an optimizer step by itself.")
    tokens_per_second: float | None = Field(description="Tokens of all GPUs a second, at p50; null for pictures.")
    samples_per_second: float = Field(description="Rows or pictures of all GPUs a second, at p50.")
    peak_vram_gib: float = Field(description="Peak of one GPU, GiB, at p50.")
    peak_vram: Range = Field(description="Peak of one GPU, GiB.")
    peak_vram_parts: PeakParts = Field(description="The peak of the likeliest way, by what it is for.")
    gpu_hours: Range = Field(
        description="Hours of the run, with its start, loading and what is done beside "
        "steps (logs, saves, warming up), times its GPUs."
    )
    adapter_parameters: int = Field(description="Trained numbers, exactly.")
    fits: bool = Field(description="False only where even the leanest run that is known would not fit.")
    fit: FitJudgement = Field(description="fits: its p90 does; tight: a lean run would; does_not_fit: none would.")
    gradient_checkpointing: bool = Field(description="As asked; the likelier where it was not said.")
    uncertain: list[str] = Field(description="What the intervals are wide for, and what would narrow them.")
    calibration: str = Field(description="What the time is by: published figures, a calibration, or the probe.")
    calibration_runs: int = Field(description="Finished runs that gave the time its width; 0: published figures did.")


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
        peak_vram_parts=PeakParts(**_estimate_peak(run.likeliest.contents).parts._asdict()),
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
    start = calibration.estimate(kind, work._replace(micro_batches=0), run.gpu).p50
    steps = request.steps
    return _scale(measured, 1.0), Range(p50=start + steps * measured.p50, p90=start + steps * measured.p90), 0


def _plan(run: RequestedRun, way: Way) -> tuple[RunKind, RunWork]:
    """Plan the run: its micro-batches, and as much more of them as a run of text does beside its steps."""
    profile, precision = run.profile, way.method.precision
    loaded = profile.parameters * profile.bytes_per_parameter
    beside = load_device_constants().steps.beside_steps if profile.is_text else 1.0
    kind = RunKind(run.gpu.sku, profile.family, precision, way.method.checkpointing, PUBLISHED)
    return kind, RunWork(
        way.work, beside * run.request.steps * run.request.accumulation, precision, loaded_bytes=loaded
    )


def _find_interval(run: RequestedRun, estimate: Callable[[Way], Interval]) -> Interval:
    """Find the interval over all ways: its middle is theirs, and it is as much wider as they lie apart.

    Its own width is what finished runs taught, or as much as is doubtful of such a run.
    """
    intervals = {id(way): estimate(way) for way in run.ways}
    likeliest = intervals[id(run.likeliest)]
    middle = run.find_middle(lambda way: intervals[id(way)].p50)
    learnt = math.log(likeliest.p90 / likeliest.p50) / Z_90 if likeliest.has_learnt_width else find_spread("time", run)
    spread = combine_spreads(learnt, middle.log_spread)
    return Interval(middle.value, middle.value * math.exp(Z_90 * spread), likeliest.runs)


def _predict_peak(run: RequestedRun) -> Range:
    middle = run.find_middle_peak(lambda contents: _estimate_peak(contents).gib)
    spread = combine_spreads(find_spread("memory", run), middle.log_spread)
    return Range(p50=middle.value, p90=middle.value * math.exp(Z_90 * spread))


def _estimate_peak(contents: PeakContents) -> PeakMemory:
    return estimate_peak(contents, load_memory_constants(PUBLISHED))


def _judge_fit(run: RequestedRun, peak: Range) -> FitJudgement:
    """Judge whether a run fits: surely where its p90 does, not at all where even the leanest way to run it does not."""
    usable = compute_usable_gib(run.gpu)
    if peak.p90 <= usable:
        return FitJudgement.FITS
    leanest = min(_estimate_peak(contents).lean_gib for way in run.ways for contents in way.all_contents)
    return FitJudgement.TIGHT if leanest <= usable else FitJudgement.DOES_NOT_FIT


def _scale(interval: Range | Interval | MeasuredSeconds, factor: float) -> Range:
    return Range(p50=interval.p50 * factor, p90=interval.p90 * factor)
