"""How much GPU memory a run needs at its peak."""

from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.training_config import TrainingConfig
from pricing.estimate.workload import Workload, count_adapter_parameters

BYTES_PER_GIB = 2**30
RUNTIME_GIB = 0.75
# fp32 weight, gradient and the two moments of Adam
BYTES_PER_ADAPTER_PARAMETER = 16
LOGITS_BYTES_PER_ENTRY = 12


def estimate_memory_gib(
    profile: BaseModelProfile, config: TrainingConfig, workload: Workload, *, recomputes: bool = False
) -> float:
    """Peak GiB of a run: weights, adapter with its Adam moments, activations and logits of one batch, and the runtime.

    The batch is taken as full, every row as long as the longest. An upper bound: a frozen module without an adapter
    need not keep its input. Activations are kept, unless gradient checkpointing is set or `recomputes`.
    Raises: UnknownTargetModules.
    Source: each term in its own function; 0.75 GiB for the CUDA context and the allocator is our assumption.
    """
    rows = min(config.batch_size, workload.rows)
    recomputes = recomputes or config.gradient_checkpointing is True
    bytes_needed = (
        profile.parameters * _bytes_per_weight(profile, config)
        + count_adapter_parameters(profile, config) * BYTES_PER_ADAPTER_PARAMETER
        + _count_activation_bytes(profile, config, rows, workload.longest_row, recomputes=recomputes)
        + _count_logits_bytes(profile, rows, workload.longest_row)
    )
    return bytes_needed / BYTES_PER_GIB + RUNTIME_GIB


def needs_checkpointing(
    profile: BaseModelProfile, config: TrainingConfig, workload: Workload, *, available_gib: float
) -> bool:
    """Whether activations are to be computed twice: as set, or with auto where the run would not fit otherwise.

    Raises: UnknownTargetModules.
    """
    if config.gradient_checkpointing != "auto":
        return bool(config.gradient_checkpointing)
    return estimate_memory_gib(profile, config, workload) > available_gib


def _bytes_per_weight(profile: BaseModelProfile, config: TrainingConfig) -> float:
    """Quantized weights carry their scales: 4 bit in blocks of 64 with double quantization are 4.127 bit.

    Source: Dettmers et al. 2023, "QLoRA", section 3.
    """
    quantized = {"8bit": 1.0, "4bit": 4.127 / 8}
    return quantized.get(config.quantization, _bytes_per_number(profile, config))


def _bytes_per_number(profile: BaseModelProfile, config: TrainingConfig) -> int:
    return {"fp32": 4, "bf16": 2, "fp16": 2}.get(config.precision, profile.bytes_per_parameter)


def _count_activation_bytes(
    profile: BaseModelProfile, config: TrainingConfig, rows: int, row_length: int, *, recomputes: bool
) -> float:
    """Bytes kept for the backward pass: s·b·h·(34 + 5·a·s/h) a layer at 2 bytes an entry.

    With recomputing 2·s·b·h a layer, its input, and one layer in full.
    Source: Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", equation 1 and
    section 5.
    """
    per_layer = 34 * profile.hidden_size + 5 * profile.attention_heads * row_length
    kept = profile.layers * per_layer
    if recomputes:
        kept = profile.layers * 2 * profile.hidden_size + per_layer
    return rows * row_length * kept * _bytes_per_number(profile, config) / 2


def _count_logits_bytes(profile: BaseModelProfile, rows: int, row_length: int) -> int:
    """The logits, their log-softmax and their gradient, each in 4 bytes (the loss is computed in fp32)."""
    return rows * row_length * profile.vocabulary * LOGITS_BYTES_PER_ENTRY
