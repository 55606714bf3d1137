"""How much GPU memory a run needs at its peak."""

from pricing.catalog import BaseModelProfile
from pricing.estimate.training_config import TrainingConfig
from pricing.estimate.workload import Workload, count_adapter_parameters

BYTES_PER_GIB = 2**30
RUNTIME_GIB = 0.75
# fp32 weight, gradient and the two moments of Adam
BYTES_PER_ADAPTER_PARAMETER = 16
LOGITS_BYTES_PER_ENTRY = 12


def estimate_memory_gib(profile: BaseModelProfile, config: TrainingConfig, workload: Workload) -> float:
    """Peak GiB of a run: weights, adapter with its Adam moments, activations and logits of one step, and the runtime.

    The step is taken as full, every row as long as the longest; no activation is recomputed. An upper bound: a frozen
    module without an adapter need not keep its input.
    Raises: UnknownTargetModules.
    Source: each term in its own function; 0.75 GiB for the CUDA context and the allocator is our assumption.
    """
    rows = min(config.batch_size, workload.rows)
    bytes_needed = (
        profile.parameters * profile.bytes_per_parameter
        + count_adapter_parameters(profile, config) * BYTES_PER_ADAPTER_PARAMETER
        + _count_activation_bytes(profile, rows, workload.longest_row)
        + _count_logits_bytes(profile, rows, workload.longest_row)
    )
    return bytes_needed / BYTES_PER_GIB + RUNTIME_GIB


def _count_activation_bytes(profile: BaseModelProfile, rows: int, row_length: int) -> float:
    """Bytes kept for the backward pass: s·b·h·(34 + 5·a·s/h) a layer at 2 bytes an entry.

    Source: Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", equation 1.
    """
    per_layer = 34 * profile.hidden_size + 5 * profile.attention_heads * row_length
    return rows * row_length * profile.layers * per_layer * profile.bytes_per_parameter / 2


def _count_logits_bytes(profile: BaseModelProfile, rows: int, row_length: int) -> int:
    """The logits, their log-softmax and their gradient, each in 4 bytes (the loss is computed in fp32)."""
    return rows * row_length * profile.vocabulary * LOGITS_BYTES_PER_ENTRY
