"""The peak of our own trainer from what was traced of it: exact parts, and a table that is read between its points."""

from pricing.catalog.profile import BaseModelProfile
from pricing.catalog.traced_memory import TracedBytes, TracedVariant
from pricing.resources.memory import BYTES_PER_GIB, MemoryConstants, MemoryParts, PeakMemory
from pricing.resources.method import BITS_PER_WEIGHT, Method
from pricing.resources.peak_contents import MicroBatch
from pricing.training.config import TrainingConfig

# The adapter and its gradient are in 32 bit, whatever the base is in.
ADAPTER_AND_GRADIENT_BYTES = 8
# What an optimizer keeps of each trained number, in bytes. Adafactor keeps sums of rows and columns.
OPTIMIZER_BYTES = {"adamw": 8.0, "adamw8bit": 2.1, "lion": 4.0, "prodigy": 16.0, "adafactor": 0.5, "schedule-free": 8.0}
# Adapters that keep the same of a step. Source: peft, rslora differs from LoRA in a factor.
TRACED_VARIANTS: dict[str, TracedVariant] = {"lora": "lora", "rslora": "lora", "dora": "dora"}
# VAE and text encoders are loaded in 32 bit, and let go before the first step.
ENCODER_BYTES = 4
# Dropout before an adapter keeps a mask of a byte a number, and what is left of them in 32 bit.
DROPOUT_BYTES = 5
# A card's own context without cuBLAS' workspace, and what a trace has in excess at most: below it no run was seen.
LEAST_CONTEXT_GIB, LEAST_SHARE = 0.4, 0.95


def estimate_traced_peak(
    profile: BaseModelProfile,
    method: Method,
    config: TrainingConfig,
    batch: MicroBatch,
    constants: MemoryConstants,
) -> PeakMemory | None:
    """Estimate the peak of one GPU; None where the profile has no trace of the method.

    Pictures and captions are encoded before the first step: the larger of the two peaks counts.
    """
    traced = _find_trace(profile, method, config) if method.gpus == 1 else None
    if traced is None or profile.traced is None:
        return None
    allocated, reserved = (
        profile.traced.interpolate(grid, batch.samples, batch.positions) / BYTES_PER_GIB
        for grid in (traced.allocated, traced.reserved)
    )
    dropped = _count_dropped_bytes(profile, method, config, batch) / BYTES_PER_GIB
    training = MemoryParts(
        weights=_count_weight_bytes(profile, method, config) / BYTES_PER_GIB,
        adapter=method.adapter_parameters * _count_bytes_of_adapter(config) / BYTES_PER_GIB,
        activations=allocated + dropped,
        logits=0.0,
        pictures=0.0,
        context=constants.context_gib,
        allocator=max(0.0, reserved - allocated),
    )
    lean = training.weights + training.adapter + LEAST_SHARE * training.activations + LEAST_CONTEXT_GIB
    if profile.is_text:
        return PeakMemory(training, lean, training)
    encoding = _weigh_encoding(profile, batch, constants)
    return PeakMemory(max(training, encoding, key=lambda parts: parts.total), lean, training)


def _find_trace(profile: BaseModelProfile, method: Method, config: TrainingConfig) -> TracedBytes | None:
    """Find the table of a method; text encoders that train, GPTQ and other adapters than LoRA and DoRA have none.

    A product with weights of 8 bit keeps its input, as one with an adapter does. Source: bitsandbytes, `MatMul8bitLt`.
    """
    variant = TRACED_VARIANTS.get(config.variant)
    if profile.traced is None or config.train_text_encoder or variant is None or method.quantization == "gptq":
        return None
    return profile.traced.find(
        bits=8 * method.bytes_per_number,
        adapts_all=method.adapts_all or method.quantization == "8bit",
        checkpointing=method.checkpointing,
        variant=variant,
    )


def _count_weight_bytes(profile: BaseModelProfile, method: Method, config: TrainingConfig) -> float:
    """Count the trained network, packed or not, and the encoders where they stay to draw samples.

    Our trainer leaves what is not packed in 16 bit; the largest module is unpacked to be used.
    """
    packed = 0 if method.quantization == "none" else profile.linear_weights
    packed_bits = BITS_PER_WEIGHT.get(method.quantization, 0.0)
    network = (profile.parameters - packed) * method.bytes_per_number + packed * packed_bits / 8
    if packed:
        shapes = (shape for shapes in profile.modules.values() for shape in shapes)
        network += 2 * max(shape.in_features * shape.out_features for shape in shapes)
    stays = sum(profile.component_parameters.values()) if config.sample_prompts else 0
    return network + stays * ENCODER_BYTES


def _count_dropped_bytes(profile: BaseModelProfile, method: Method, config: TrainingConfig, batch: MicroBatch) -> float:
    """Count what dropout keeps, which was not traced: half of the adapted width goes in; of a UNet at full size."""
    if not config.lora_dropout:
        return 0.0
    layers = profile.layers if method.checkpointing else 1
    return DROPOUT_BYTES * batch.samples * batch.positions * method.adapted_width / 2 / layers


def _count_bytes_of_adapter(config: TrainingConfig) -> float:
    return ADAPTER_AND_GRADIENT_BYTES + OPTIMIZER_BYTES[config.optimizer]


def _weigh_encoding(profile: BaseModelProfile, batch: MicroBatch, constants: MemoryConstants) -> MemoryParts:
    """Weigh what encodes one picture, before the trained network is loaded."""
    encoders = sum(profile.component_parameters.values()) * ENCODER_BYTES
    return MemoryParts(
        weights=encoders / BYTES_PER_GIB,
        adapter=0.0,
        activations=0.0,
        logits=0.0,
        pictures=batch.positions * constants.picture_bytes / BYTES_PER_GIB,
        context=constants.context_gib,
    )
