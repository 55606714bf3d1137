"""One estimate for scripts: a base model, a GPU type and a few settings in, seconds, memory and GPU-hours out."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pricing.calibration.calibration import Calibration, RunKind
from pricing.catalog import get_base_model, get_gpu
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.memory import FitJudgement, estimate_peak
from pricing.resources.method import Method, Quantization, describe_method
from pricing.resources.peak_contents import MicroBatch, count_peak_contents
from pricing.resources.run_work import RunWork
from pricing.resources.shipped_constants import load_memory_constants
from pricing.resources.step_work import StepWork, count_step_work
from pricing.training.config import ALL_LINEAR, TrainingConfig

METHODS: dict[str, Quantization] = {"lora": "none", "qlora-nf4": "4bit", "lora-int8": "8bit"}
LATENT_PIXELS = 8
SECONDS_PER_HOUR = 3600
PUBLISHED: Final = "published"


def _split(written: Any) -> Any:
    """Split `q_proj,v_proj` into names; a list stays one, and `all` is short for all-linear."""
    names = [name.strip() for name in written.split(",")] if isinstance(written, str) else written
    return [ALL_LINEAR] if names == ["all"] else names


class Range(BaseModel):
    p50: float = Field(gt=0)
    p90: float = Field(gt=0)


class PredictionRequest(BaseModel):
    """What is to be trained, and on what. Units: tokens (`sequence_length`, `mean_tokens`), pixels (`resolution`).

    `micro_batch` is per GPU. `gradient_checkpointing` null is what the usual scripts do: on for text, for images where
    the run would not fit without. `measured_seconds_per_step`, of a probe on that GPU type, replaces the estimate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    base_model: str
    gpu: str
    gpus: int = Field(default=1, ge=1, le=1024)
    method: Literal["lora", "qlora-nf4", "lora-int8"] = "lora"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    rank: int = Field(default=8, ge=1, le=1024)
    target_modules: Annotated[tuple[str, ...] | None, BeforeValidator(_split)] = None
    micro_batch: int = Field(default=1, ge=1, le=65536)
    accumulation: int = Field(default=1, ge=1, le=65536)
    sequence_length: int | None = Field(default=None, ge=1, le=10_000_000)
    resolution: int | None = Field(default=None, ge=64, le=16384)
    mean_tokens: float | None = Field(default=None, gt=0)
    gradient_checkpointing: bool | None = None
    cached_latents: bool = True
    steps: int = Field(default=1000, ge=1, le=1_000_000_000)
    measured_seconds_per_step: Range | None = None

    @model_validator(mode="after")
    def _has_one_size(self) -> "PredictionRequest":
        if (self.sequence_length is None) == (self.resolution is None):
            raise ValueError("give sequence_length for a text model, or resolution for an image model")
        if self.mean_tokens is not None and self.mean_tokens > (self.sequence_length or 0):
            raise ValueError("mean_tokens is at most sequence_length")
        return self


class PredictionRefused(ValueError):
    """The request names something that does not go together; the message says what to change."""


class Prediction(BaseModel):
    """Units: seconds of an optimizer step; GiB of one GPU; GPU-hours of all GPUs; tokens of all GPUs a second.

    `fits` is false only where even the leanest run that is known would not; `fit` tells surely from tight.
    """

    seconds_per_step: Range
    tokens_per_second: float | None
    samples_per_second: float
    peak_vram_gib: float
    gpu_hours: Range
    adapter_parameters: int
    fits: bool
    fit: FitJudgement
    gradient_checkpointing: bool
    calibration: str
    calibration_runs: int


def predict(request: PredictionRequest, calibration: Calibration) -> Prediction:
    """Predict seconds, memory and GPU-hours of a published script's run.

    Raises: UnknownBaseModel, UnknownGpu, UnknownTargetModules, PredictionRefused.
    """
    profile, gpu = get_base_model(request.base_model), get_gpu(request.gpu)
    longest, mean = read_sizes(request, profile)
    method, is_sharded = choose_method(request, profile, gpu, longest)
    encodes = not (profile.is_text or request.cached_latents)
    work = count_step_work(
        profile, method, samples=request.micro_batch, positions=mean, is_sharded=is_sharded, encodes=encodes
    )
    step, run, runs = _predict_time(request, profile, gpu, method, work, calibration)
    batch = MicroBatch(request.micro_batch, longest, is_sharded=is_sharded, encodes=encodes)
    peak = estimate_peak(count_peak_contents(profile, method, batch), load_memory_constants(PUBLISHED))
    fit = peak.judge_fit(gpu)
    samples_per_second = request.micro_batch * request.accumulation * request.gpus / step.p50
    is_measured = request.measured_seconds_per_step is not None
    return Prediction(
        seconds_per_step=step,
        tokens_per_second=samples_per_second * mean if profile.is_text else None,
        samples_per_second=samples_per_second,
        peak_vram_gib=peak.gib,
        gpu_hours=Range(p50=run.p50 * request.gpus / SECONDS_PER_HOUR, p90=run.p90 * request.gpus / SECONDS_PER_HOUR),
        adapter_parameters=method.adapter_parameters,
        fits=fit is not FitJudgement.DOES_NOT_FIT,
        fit=fit,
        gradient_checkpointing=method.checkpointing,
        calibration="probe" if is_measured else calibration.version,
        calibration_runs=runs,
    )


def _predict_time(
    request: PredictionRequest,
    profile: BaseModelProfile,
    gpu: GpuProfile,
    method: Method,
    work: StepWork,
    calibration: Calibration,
) -> tuple[Range, Range, int]:
    """Predict seconds of an optimizer step and of the whole run; tell how many finished runs gave them their width."""
    loaded = profile.parameters * profile.bytes_per_parameter
    run = RunWork(work, request.steps * request.accumulation, method.precision, loaded_bytes=loaded)
    kind = RunKind(gpu.sku, profile.family, method.precision, method.checkpointing, PUBLISHED)
    measured = request.measured_seconds_per_step
    if measured is None:
        micro_batch, whole = calibration.estimate_micro_batch(kind, run, gpu), calibration.estimate(kind, run, gpu)
        step = Range(p50=micro_batch.p50 * request.accumulation, p90=micro_batch.p90 * request.accumulation)
        return step, Range(p50=whole.p50, p90=whole.p90), whole.runs
    start = calibration.estimate(kind, replace(run, micro_batches=0), gpu).p50
    return measured, Range(p50=start + request.steps * measured.p50, p90=start + request.steps * measured.p90), 0


def choose_method(
    request: PredictionRequest,
    profile: BaseModelProfile,
    gpu: GpuProfile,
    longest: float,
    *,
    quantization: Quantization | None = None,
) -> tuple[Method, bool]:
    """Choose the method of a request, and whether the weights must be spread over its GPUs to fit at all.

    `quantization` stands in for one that a request cannot name.
    Raises: UnknownTargetModules.
    """
    config = TrainingConfig(
        base_model=profile.name,
        lora_rank=request.rank,
        target_modules=request.target_modules,
        precision=request.precision,
        quantization=METHODS[request.method],
        batch_size=min(request.micro_batch, 4096),
    )
    kept = describe_method(profile, config, request.precision, checkpointing=False, gpus=request.gpus)
    kept = replace(kept, quantization=quantization or kept.quantization)
    recomputed = replace(kept, checkpointing=True)
    is_sharded = request.gpus > 1 and _judge(profile, recomputed, gpu, MicroBatch(1, 1)) is FitJudgement.DOES_NOT_FIT
    asked = request.gradient_checkpointing
    if asked is None:
        batch = MicroBatch(request.micro_batch, longest, is_sharded=is_sharded)
        asked = profile.is_text or _judge(profile, kept, gpu, batch) is not FitJudgement.FITS
    return (recomputed if asked else kept), is_sharded


def _judge(profile: BaseModelProfile, method: Method, gpu: GpuProfile, batch: MicroBatch) -> FitJudgement:
    return estimate_peak(count_peak_contents(profile, method, batch)).judge_fit(gpu)


def read_sizes(request: PredictionRequest, profile: BaseModelProfile) -> tuple[float, float]:
    """Read the longest and the mean sample, in positions of the profile's curves. Raises: PredictionRefused."""
    if profile.is_text:
        if request.sequence_length is None:
            raise PredictionRefused(f"{profile.name} reads text: give sequence_length instead of resolution")
        return request.sequence_length, request.mean_tokens or request.sequence_length
    if request.resolution is None:
        raise PredictionRefused(f"{profile.name} draws pictures: give resolution instead of sequence_length")
    positions = (request.resolution / LATENT_PIXELS) ** 2
    return positions, positions
