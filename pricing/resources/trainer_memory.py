"""How much GPU memory a job needs at its peak."""

from pricing.catalog.gpu import Precision
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.memory import MemoryParts, MicroBatch, estimate_memory
from pricing.resources.method import describe_method
from pricing.resources.shipped_constants import load_memory_constants
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload

TRAINER = "trainer"


def estimate_memory_gib(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    *,
    precision: Precision,
) -> float:
    """Peak GiB of our own trainer. Raises: UnknownTargetModules."""
    return estimate_memory_parts(profile, config, workload, precision=precision).total


def estimate_memory_parts(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    *,
    precision: Precision,
) -> MemoryParts:
    """The peak of our own trainer by what it is for, with a full micro-batch of samples as long as the longest.

    Activations are kept, unless gradient checkpointing is set. `precision` holds where the configuration says auto.
    Raises: UnknownTargetModules.
    """
    checkpointing = config.gradient_checkpointing is True
    chosen = precision if config.precision == "auto" else config.precision
    method = describe_method(profile, config, chosen, checkpointing=checkpointing)
    return estimate_memory(profile, method, fill_micro_batch(config, workload), load_memory_constants(TRAINER))


def fill_micro_batch(config: TrainingConfig, workload: Workload) -> MicroBatch:
    """The largest that a run has in memory at once: full, of samples as long as the longest."""
    return MicroBatch(min(config.batch_size, workload.rows), workload.longest)


def needs_checkpointing(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    *,
    precision: Precision,
    available_gib: float,
) -> bool:
    """Whether activations are to be computed twice: as set, or with auto where the run would not fit otherwise.

    Raises: UnknownTargetModules.
    """
    if config.gradient_checkpointing != "auto":
        return bool(config.gradient_checkpointing)
    return estimate_memory_gib(profile, config, workload, precision=precision) > available_gib
