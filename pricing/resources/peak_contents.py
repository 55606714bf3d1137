"""What one GPU holds at the peak of a run: bytes, logits and pictures, counted before any constant weighs them."""

from dataclasses import dataclass

from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import BITS_PER_WEIGHT, Method
from pricing.resources.step_work import count_scores

# Weights that quantization leaves alone are held in 32 bit, but by programs with kernels of their own (torchtune,
# Unsloth), which leave them as they are. Source: peft, `prepare_model_for_kbit_training`.
UNQUANTIZED_BYTES = 4
# A loss in pieces has the logits of so many positions at once. Source: Liger Kernel's fused linear cross entropy.
POSITIONS_OF_A_PIECE = 1024
# Fused kernels compute again what lies between their input and their output. Source: Hsu et al. 2024, "Liger Kernel",
# section 3: norms, rotations and gated activations.
SHARE_KEPT_BY_FUSED_KERNELS = 0.75
# Under autocast a GPU's norms answer in 32 bit, which a UNet keeps. Source: traced (trainer/tracing), SD 1.5: 1163 MB a
# picture of 512 pixels in 16 bit, where 16 bit throughout would be 929.
NORMS_IN_32_BIT = 1.25


@dataclass(frozen=True)
class MicroBatch:
    """What is in memory at once: `samples`, each as long as the longest, in `positions`.

    `is_sharded`: weights and adapter lie spread over the GPUs. `encodes`: pictures are encoded in every step, a whole
    micro-batch at once. `holds_encoders`: VAE and text encoders stay in memory, and where pictures are not encoded in
    every step, they are one by one before the first. `varies`: samples are of different lengths, which leaves gaps
    between what the allocator hands out.
    """

    samples: int
    positions: float
    is_sharded: bool = False
    encodes: bool = False
    holds_encoders: bool = True
    varies: bool = False


@dataclass(frozen=True)
class PeakContents:
    """What one GPU holds at the peak of a run.

    Units: bytes of weights, with the room to work on them; adapter parameters, spread over `shards` GPUs; bytes kept
    for the backward pass, `checkpoint_bytes` of them in checkpoints; logits; latent positions of the pictures that are
    encoded at once; scores of an eager attention. `varies` says that samples are of different lengths.
    """

    weight_bytes: float
    adapter_parameters: int
    shards: int
    kept_bytes: float
    checkpoint_bytes: float
    logits: float
    picture_positions: float
    scores: float = 0.0
    varies: bool = False


def count_peak_contents(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> PeakContents:
    """Count what one GPU holds while a micro-batch goes through it. Source: each part in its own function."""
    shards = method.gpus if batch.is_sharded else 1
    room = _count_work_bytes(profile, method, is_sharded=batch.is_sharded)
    encoders = _count_encoder_bytes(profile, method, batch)
    checkpoints = profile.costs.checkpoint_bytes.at(batch.positions) if method.checkpointing else 0.0
    return PeakContents(
        weight_bytes=_count_weight_bytes(profile, method) / shards + room + encoders,
        adapter_parameters=method.adapter_parameters,
        shards=shards,
        kept_bytes=batch.samples * _count_kept_bytes(profile, method, batch.positions),
        checkpoint_bytes=batch.samples * checkpoints,
        logits=_count_logits(profile, method, batch),
        picture_positions=_count_picture_positions(profile, batch),
        scores=batch.samples * _count_scores(profile, method, batch),
        varies=batch.varies,
    )


def _count_logits(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    if not profile.is_text:
        return 0.0
    positions = batch.samples * batch.positions
    return profile.vocabulary * (min(positions, POSITIONS_OF_A_PIECE) if method.loss == "chunked" else positions)


def _count_picture_positions(profile: BaseModelProfile, batch: MicroBatch) -> float:
    if profile.is_text or not batch.holds_encoders:
        return 0.0
    return (batch.samples if batch.encodes else 1) * batch.positions


def _count_scores(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    """Count the scores that an eager attention keeps of one sample: of all layers, or of the one that is recomputed."""
    if method.attention != "eager":
        return 0.0
    of_all_layers = count_scores(profile, batch.positions)
    return of_all_layers / profile.layers if method.checkpointing else of_all_layers


def _count_encoder_bytes(profile: BaseModelProfile, method: Method, batch: MicroBatch) -> float:
    """Count the components beside the trained network: the VAE and the text encoders of a picture model."""
    return sum(profile.component_parameters.values()) * method.bytes_per_number if batch.holds_encoders else 0.0


def _count_weight_bytes(profile: BaseModelProfile, method: Method) -> float:
    """Count the trained network in the run's precision; of a quantized one the linear weights are packed."""
    if method.quantization == "none":
        return profile.parameters * method.bytes_per_number
    packed = profile.linear_weights
    rest = profile.parameters - packed
    rest_bytes = method.bytes_per_number if method.is_compiled else UNQUANTIZED_BYTES
    return packed * BITS_PER_WEIGHT[method.quantization] / 8 + rest * rest_bytes


def _count_work_bytes(profile: BaseModelProfile, method: Method, *, is_sharded: bool) -> float:
    """Count the room that weights are worked on in.

    A quantized model unpacks its largest module into it. A sharded one gathers two layers in it, the one in work and
    the next, and the embeddings and the head, which are gathered whole.
    """
    if method.quantization != "none":
        shapes = (shape for shapes in profile.modules.values() for shape in shapes)
        return 2 * max(shape.in_features * shape.out_features for shape in shapes)
    if not is_sharded:
        return 0.0
    linear = profile.linear_weights
    return (2 * linear / profile.layers + profile.parameters - linear) * method.bytes_per_number


def _count_kept_bytes(profile: BaseModelProfile, method: Method, positions: float) -> float:
    """Count the bytes of one sample kept for the backward pass, and with checkpointing those of the layer in work.

    Products with packed weights keep their input also where no adapter needs it.
    Source: measured on the meta device for the profile, at 16 bits a number; bitsandbytes, `MatMul4Bit.forward`.
    """
    costs = profile.costs
    keeps_all_inputs = method.adapts_all or method.quantization in {"4bit", "8bit"}
    if method.checkpointing:
        kept = costs.checkpoint_bytes.at(positions) + costs.layer_bytes.at(positions)
        if keeps_all_inputs:
            further = costs.all_linear_activation_bytes.at(positions) - costs.activation_bytes.at(positions)
            kept += further / profile.layers
    elif keeps_all_inputs:
        kept = costs.all_linear_activation_bytes.at(positions)
    else:
        kept = costs.activation_bytes.at(positions)
    fused = SHARE_KEPT_BY_FUSED_KERNELS if method.is_compiled else 1.0
    norms = NORMS_IN_32_BIT if profile.is_convolutional and method.precision != "fp32" else 1.0
    return kept * fused * norms * method.bytes_per_number / 2
