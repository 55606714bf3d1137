"""How much GPU memory a run needs at its peak, part by part."""

from dataclasses import dataclass
from enum import StrEnum

from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.fitting import Prior
from pricing.resources.method import BITS_PER_WEIGHT, Method
from pricing.resources.step_work import count_linear_weights

BYTES_PER_GIB = 2**30
# What the driver and the display keep of a card.
USABLE_SHARE = 0.98
# A run is said to fit where its estimate leaves this share of the card free: half of the error that is usual.
MARGIN = 0.05
# Weights that quantization leaves alone are held in 32 bit. Source: peft, `prepare_model_for_kbit_training`.
UNQUANTIZED_BYTES = 4


@dataclass(frozen=True)
class MemoryConstants:
    """Units: a multiple of the bytes kept for the backward pass; bytes a logit, a latent position of a picture that is
    encoded, and an adapter parameter; GiB.
    """

    activations: float
    logit_bytes: float
    picture_bytes: float
    adapter_bytes: float
    context_gib: float


MEMORY_PRIORS: dict[str, Prior] = {
    "activations": Prior(1.1, 0.2, "what PyTorch's allocator reserves beyond what is in use"),
    "logit_bytes": Prior(12.0, 0.3, "fp32 logits, their softmax and its gradient, 4 bytes each"),
    "picture_bytes": Prior(98e3, 0.7, "six maps of the VAE's first stage: 64 pixels a position, 128 channels, 16 bit"),
    "adapter_bytes": Prior(16.0, 0.1, "fp32 weight, gradient and the two moments of Adam"),
    "context_gib": Prior(1.0, 0.4, "CUDA context, cuBLAS workspace and what the allocator leaves unused"),
}
DEFAULT_MEMORY = MemoryConstants(**{name: prior.value for name, prior in MEMORY_PRIORS.items()})
# The leanest run that is known: a loss in pieces, checkpoints kept in the machine's memory, an 8-bit optimizer.
LEAN_MEMORY = MemoryConstants(activations=1.0, logit_bytes=0.0, picture_bytes=98e3, adapter_bytes=10.0, context_gib=0.5)


class FitJudgement(StrEnum):
    """Whether a run fits on a card: surely, only if it is lean or lucky, or not at all."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does_not_fit"


@dataclass(frozen=True)
class MemoryParts:
    """The peak of one GPU, by what it is for. Unit: GiB."""

    weights: float
    adapter: float
    activations: float
    logits: float
    pictures: float
    context: float

    @property
    def total(self) -> float:
        return self.weights + self.adapter + self.activations + self.logits + self.pictures + self.context


@dataclass(frozen=True)
class MicroBatch:
    """What is in memory at once: `samples`, each as long as the longest, in `positions`.

    `is_sharded`: weights and adapter lie spread over the GPUs. `encodes`: pictures are encoded in every step, a whole
    micro-batch at once; else one by one before the first.
    """

    samples: int
    positions: float
    is_sharded: bool = False
    encodes: bool = False


def estimate_memory(
    profile: BaseModelProfile, method: Method, batch: MicroBatch, constants: MemoryConstants = DEFAULT_MEMORY
) -> MemoryParts:
    """The peak of one GPU with a micro-batch. Source: each part in its own function."""
    shards = method.gpus if batch.is_sharded else 1
    weights = _count_weight_bytes(profile, method) / shards
    room = _count_work_bytes(profile, method, is_sharded=batch.is_sharded)
    kept = batch.samples * _count_kept_bytes(profile, method, batch.positions)
    logits = batch.samples * batch.positions * profile.vocabulary if profile.is_text else 0.0
    pictures = 0.0 if profile.is_text else (batch.samples if batch.encodes else 1) * batch.positions
    return MemoryParts(
        weights=(weights + room) / BYTES_PER_GIB,
        adapter=method.adapter_parameters * constants.adapter_bytes / shards / BYTES_PER_GIB,
        activations=kept * constants.activations / BYTES_PER_GIB,
        logits=logits * constants.logit_bytes / BYTES_PER_GIB,
        pictures=pictures * constants.picture_bytes / BYTES_PER_GIB,
        context=constants.context_gib,
    )


def judge_fit(
    profile: BaseModelProfile,
    method: Method,
    gpu: GpuProfile,
    batch: MicroBatch,
    constants: MemoryConstants = DEFAULT_MEMORY,
) -> FitJudgement:
    """Compare the peak with what the card has; the leanest run that is known decides what cannot fit at all."""
    usable = gpu.memory_gib * USABLE_SHARE
    if estimate_memory(profile, method, batch, constants).total * (1 + MARGIN) <= usable:
        return FitJudgement.FITS
    lean = estimate_memory(profile, method, batch, LEAN_MEMORY).total
    if method.checkpointing:
        lean -= batch.samples * profile.costs.checkpoint_bytes.at(batch.positions) / BYTES_PER_GIB
    return FitJudgement.TIGHT if lean <= usable else FitJudgement.DOES_NOT_FIT


def _count_weight_bytes(profile: BaseModelProfile, method: Method) -> float:
    """All parts of the model in the run's precision; of a quantized one the linear weights are packed."""
    parts = sum(profile.component_parameters.values()) * method.bytes_per_number
    if method.quantization == "none":
        return profile.parameters * method.bytes_per_number + parts
    packed = count_linear_weights(profile)
    rest = profile.parameters - packed
    return packed * BITS_PER_WEIGHT[method.quantization] / 8 + rest * UNQUANTIZED_BYTES + parts


def _count_work_bytes(profile: BaseModelProfile, method: Method, *, is_sharded: bool) -> float:
    """Room to unpack the largest module into; or to gather two layers, the one in work and the next, and the embeddings
    and the head, which are gathered whole.
    """
    if method.quantization != "none":
        shapes = (shape for shapes in profile.modules.values() for shape in shapes)
        return 2 * max(shape.in_features * shape.out_features for shape in shapes)
    if not is_sharded:
        return 0.0
    linear = count_linear_weights(profile)
    return (2 * linear / profile.layers + profile.parameters - linear) * method.bytes_per_number


def _count_kept_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Bytes of one sample kept for the backward pass, and with checkpointing those of the layer in work.

    Source: measured on the meta device for the profile, at 16 bits a number.
    """
    costs = profile.costs
    if method.checkpointing:
        kept = costs.checkpoint_bytes.at(positions) + costs.layer_bytes.at(positions)
        if method.adapts_all:
            further = costs.all_linear_activation_bytes.at(positions) - costs.activation_bytes.at(positions)
            kept += further / profile.layers
    elif method.adapts_all:
        kept = costs.all_linear_activation_bytes.at(positions)
    else:
        kept = costs.activation_bytes.at(positions)
    return kept * method.bytes_per_number / 2
