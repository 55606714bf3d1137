"""What a requested run does and holds, in each of the ways in which its program may go about what was not said."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pricing.catalog import get_gpu
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.model_path import get_model_by_shape
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.prediction_request import PredictionRefused, PredictionRequest, read_sizes
from pricing.estimate.unsaid import list_checkpointing, list_lengths, list_variants
from pricing.resources.exclusions import find_exclusion
from pricing.resources.memory import FitJudgement, estimate_peak
from pricing.resources.method import Method, Quantization, describe_method
from pricing.resources.peak_contents import Device, MicroBatch, PeakContents, count_peak_contents
from pricing.resources.shipped_constants import load_share
from pricing.resources.step_work import StepWork, count_step_work
from pricing.training.adapter_parameters import TEXT_ENCODER_TARGETS
from pricing.training.config import ALL_LINEAR, TrainingConfig

METHODS: dict[str, Quantization] = {"lora": "none", "qlora-nf4": "4bit", "lora-int8": "8bit"}
# Rows of an evaluation's micro-batch, unless told. Source: transformers, `TrainingArguments`.
USUAL_EVALUATION = 8
NARROW, WIDE, BITS_OF_NARROW_MOMENTS = 16, 32, 8


@dataclass(frozen=True)
class Held:
    """What a GPU holds at the peak, and how often (`share`) it is that of a program that goes one way."""

    share: float
    contents: PeakContents


@dataclass(frozen=True)
class Way:
    """One way to run what was requested, and how often (`share`) programs go it.

    `held` are the contents under each attention, loss and unpacked rest that the program may have, the likeliest first.
    """

    share: float
    method: Method
    work: StepWork
    held: tuple[Held, ...]

    @property
    def contents(self) -> PeakContents:
        return self.held[0].contents

    @property
    def all_contents(self) -> tuple[PeakContents, ...]:
        return tuple(held.contents for held in self.held)


@dataclass(frozen=True)
class Middle:
    """The geometric mean of the ways, and the standard deviation of the logarithm between them."""

    value: float
    log_spread: float


@dataclass(frozen=True)
class RequestedRun:
    """A request with its base model, GPU type, and the ways in which its program may run it; the likeliest is first."""

    request: PredictionRequest
    profile: BaseModelProfile
    gpu: GpuProfile
    mean_length: float
    batch: MicroBatch
    ways: tuple[Way, ...]

    @property
    def likeliest(self) -> Way:
        return self.ways[0]

    def find_middle(self, measure: Callable[[Way], float]) -> Middle:
        """Find the middle of what a measure, which is positive, gives of each way."""
        logs = [(way.share, math.log(measure(way))) for way in self.ways]
        mean = sum(share * log for share, log in logs)
        return Middle(math.exp(mean), math.sqrt(sum(share * (log - mean) ** 2 for share, log in logs)))

    def find_middle_peak(self, measure: Callable[[PeakContents], float]) -> Middle:
        """Find the middle of what a measure of a peak gives of each way as its program likeliest is.

        What else it may be makes it wider, and moves it not: most programs go the likeliest way.
        """
        middle = self.find_middle(lambda way: measure(way.contents)).value
        spread = sum(
            way.share * held.share * math.log(measure(held.contents) / middle) ** 2
            for way in self.ways
            for held in way.held
        )
        return Middle(middle, math.sqrt(spread))


def describe_requested_run(request: PredictionRequest, *, quantization: Quantization | None = None) -> RequestedRun:
    """Describe what a request would do and hold; `quantization` stands in for one that a request cannot name.

    Raises: UnknownBaseModel, UnknownGpu, UnknownTargetModules, PredictionRefused.
    """
    profile, gpu = get_model_by_shape(request.base_model), get_gpu(request.gpu)
    refuse_excluded(request, gpu, quantization or METHODS[request.method])
    if request.text_encoders and not profile.text_modules:
        raise PredictionRefused(f"text_encoders: no program is known to train those of {profile.name}: leave it out")
    longest, mean = read_sizes(request, profile)
    kept = _describe_method(request, profile, quantization)
    is_sharded = _is_sharded(request, profile, kept, gpu)
    batch = _fill_micro_batch(request, profile, longest, mean, Device.of(gpu), is_sharded=is_sharded)
    if _falls_back(request, profile, gpu, kept, batch):
        kept = kept._replace(attention="eager", has_wide_scores=True)
    fits = _judge(profile, kept, gpu, batch) is FitJudgement.FITS
    ways = [
        Way(
            share * share_of_length,
            method,
            _count_work(profile, method, positions, batch),
            tuple(_list_held(request, profile, method, batch)),
        )
        for share, checkpointing in list_checkpointing(request, profile, kept, fits_without=fits)
        for method in [kept._replace(checkpointing=checkpointing)]
        for share_of_length, positions in list_lengths(request, longest, mean)
    ]
    return RequestedRun(request, profile, gpu, mean, batch, tuple(sorted(ways, key=lambda way: -way.share)))


def _list_held(
    request: PredictionRequest, profile: BaseModelProfile, method: Method, batch: MicroBatch
) -> Iterator[Held]:
    """List what a GPU may hold under what was not said; an evaluation that was not said is one of the usual method."""
    variants, evaluated = list_variants(request, profile, method), 0.0
    if profile.is_text and request.evaluation_batch is None:
        evaluated = load_share("evaluates")
    for variant in variants:
        yield Held(variant.share * (1 - evaluated), count_peak_contents(profile, variant.method, batch))
    if evaluated:
        yield Held(evaluated, count_peak_contents(profile, method, replace(batch, evaluated=USUAL_EVALUATION)))


def refuse_excluded(request: PredictionRequest, gpu: GpuProfile, quantization: Quantization) -> None:
    """Refuse a method that the device cannot run. Raises: PredictionRefused."""
    excluded = find_exclusion(gpu, quantization, request.precision)
    if excluded is not None:
        key, asked = ("method", request.method) if excluded.key == "quantization" else ("precision", request.precision)
        raise PredictionRefused(f"{key} {asked}: {excluded.message}")
    if request.eight_bit == "fp8" and not gpu.has_fp8:
        raise PredictionRefused(f"eight_bit fp8: {gpu.name} has no products of 8-bit floats: give weight_only")


def _describe_method(
    request: PredictionRequest, profile: BaseModelProfile, quantization: Quantization | None
) -> Method:
    config = TrainingConfig(
        base_model=profile.name,
        lora_rank=request.rank,
        target_modules=_list_targets(request),
        precision=request.precision,
        quantization=METHODS[request.method],
        train_text_encoder=request.text_encoders is True,
        batch_size=min(request.micro_batch, 4096),
    )
    kept = describe_method(profile, config, request.precision, checkpointing=False, gpus=request.gpus)
    return kept._replace(
        quantization=quantization or kept.quantization,
        loss=request.loss or "whole",
        attention=request.attention or "sdpa",
        is_compiled=request.compiled is True,
        has_wide_weights=request.weight_bits == WIDE and request.precision != "fp32",
        has_wide_head=profile.is_text and request.head_bits == WIDE and request.precision != "fp32",
        has_wide_adapters=request.adapter_bits == WIDE and request.precision != "fp32",
        has_narrow_adapters=_has_narrow_adapters(request),
        has_narrow_moments=request.optimizer_bits == BITS_OF_NARROW_MOMENTS,
        packs_weights_alone=_packs_weights_alone(request, profile),
        multiplies_in_fp8=request.eight_bit == "fp8",
        encodes_in_32_bit=_encodes_in_32_bit(request, profile),
        offloads=request.offloaded is True,
        retains_checkpoints=request.retains_checkpoints is True,
        upcasts=(_casts_by_autocast(request) and profile.is_text)
        or (_may_upcast(request, profile, quantization or kept.quantization) and request.unpacked_bits != NARROW),
    )


def _list_targets(request: PredictionRequest) -> tuple[str, ...] | None:
    """List the modules with an adapter, those that text encoders usually get theirs on with them, where they train."""
    named = request.target_modules
    if named is None or not request.text_encoders or ALL_LINEAR in named:
        return named
    return (*named, *TEXT_ENCODER_TARGETS)


def _falls_back(
    request: PredictionRequest, profile: BaseModelProfile, gpu: GpuProfile, kept: Method, batch: MicroBatch
) -> bool:
    """Tell whether sdpa has no kernel for it but the one that keeps all scores, in 32 bit.

    Where queries share keys and no row is padded, transformers leaves the sharing to the kernel, which flash attention
    alone can do: it has kernels from Ampere on, for 16 bit. Before Ampere no other has one for bf16 either.
    Source: transformers, `use_gqa_in_sdpa`, since 4.54 (issue 48633); PyTorch, `can_use_mem_efficient_attention`.
    """
    if request.attention not in {None, "sdpa"} or not profile.is_text or gpu.is_cpu or kept.is_compiled:
        return False
    is_narrow = request.precision != "fp32" and not kept.is_wide_between_products
    is_padded = request.filled is True or (batch.varies and batch.samples > 1)
    leaves_sharing = profile.shares_keys and not is_padded and not (gpu.has_flash_attention and is_narrow)
    return leaves_sharing or (request.precision == "bf16" and is_narrow and not gpu.has_bf16)


def _casts_by_autocast(request: PredictionRequest) -> bool:
    """Tell whether autocast casts weights that are kept in 32 bit: as was said, or as nothing else does on one GPU."""
    if request.autocast is not None:
        return request.autocast
    is_cast = request.weight_bits == WIDE and request.precision != "fp32" and request.method == "lora"
    return is_cast and request.gpus == 1 and request.compiled is not True


def _encodes_in_32_bit(request: PredictionRequest, profile: BaseModelProfile) -> bool:
    """Tell whether the VAE computes in 32 bit: as was said, where it asks for it, or where all weights are kept so."""
    if request.vae_bits is not None:
        return request.vae_bits == WIDE
    return profile.costs.encodes_in_32_bit or request.weight_bits == WIDE or request.precision == "fp32"


def _has_narrow_adapters(request: PredictionRequest) -> bool:
    """Tell whether adapters are kept in 16 bit: as was said, or as TRL does of a packed base, which its loss tells.

    Source: trl since 0.26, `SFTTrainer`, "PEFT adapter weights are converted to bf16"; its loss in pieces is of 1.7.
    """
    if request.precision == "fp32":
        return False
    if request.adapter_bits is not None:
        return request.adapter_bits == NARROW
    return request.method == "qlora-nf4" and request.loss == "fused" and request.compiled is not True


def _packs_weights_alone(request: PredictionRequest, profile: BaseModelProfile) -> bool:
    """Tell whether a base in 8 bit is cast for each product: as was said, or as programs of its kind do."""
    if request.method != "lora-int8":
        return False
    return request.eight_bit == "weight_only" if request.eight_bit is not None else not profile.is_text


def _may_upcast(request: PredictionRequest, profile: BaseModelProfile, quantization: Quantization) -> bool:
    """Tell whether a program may cast what is not packed to 32 bit: peft's preparation does, but not beside GPTQ.

    Programs with kernels of their own do not, and pictures are not prepared so; FSDP spreads numbers of one kind only.
    Source: PyTorch, `FlatParamHandle`, whose parameters share one dtype.
    """
    is_packed = quantization in {"4bit", "8bit"} and request.eight_bit != "fp8"
    is_prepared = profile.is_text and is_packed and request.sharded_by != "fsdp"
    return is_prepared and (request.unpacked_bits is not None or request.compiled is not True)


def _is_sharded(request: PredictionRequest, profile: BaseModelProfile, kept: Method, gpu: GpuProfile) -> bool:
    """Tell whether the weights are spread over the GPUs: as was said, or where they must be to fit at all."""
    if request.sharded is not None or request.sharded_by is not None:
        return request.sharded is not False and request.gpus > 1
    recomputed = kept._replace(checkpointing=True)
    least = MicroBatch(1, 1, holds_encoders=False)
    return request.gpus > 1 and _judge(profile, recomputed, gpu, least) is FitJudgement.DOES_NOT_FIT


def _fill_micro_batch(
    request: PredictionRequest,
    profile: BaseModelProfile,
    longest: float,
    mean: float,
    device: Device,
    *,
    is_sharded: bool,
) -> MicroBatch:
    encodes = not (profile.is_text or request.cached_latents)
    return MicroBatch(
        request.micro_batch,
        longest,
        is_sharded=is_sharded,
        encodes=encodes,
        holds_encoders=encodes or profile.is_text,
        varies=mean < longest,
        device=device,
        evaluated=(request.evaluation_batch or 0) if profile.is_text else 0,
        accumulates=request.accumulation > 1,
    )


def _count_work(profile: BaseModelProfile, method: Method, positions: float, batch: MicroBatch) -> StepWork:
    return count_step_work(
        profile,
        method,
        samples=batch.samples,
        positions=positions,
        is_sharded=batch.is_sharded,
        encodes=batch.encodes,
    )


def _judge(profile: BaseModelProfile, method: Method, gpu: GpuProfile, batch: MicroBatch) -> FitJudgement:
    return estimate_peak(count_peak_contents(profile, method, batch)).judge_fit(gpu)
