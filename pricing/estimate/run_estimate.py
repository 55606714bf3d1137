"""The estimate of one run on one GPU type: how long, how much memory, and by which calibration."""

import math
from dataclasses import dataclass, replace

from pricing.calibration.calibration import Calibration, RunKind
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.resources.memory import USABLE_SHARE, FitJudgement, estimate_memory, judge_fit
from pricing.resources.method import Method, describe_method, resolve_precision
from pricing.resources.run_plan import plan_run
from pricing.resources.run_work import RunWork
from pricing.resources.shipped_constants import load_memory_constants
from pricing.resources.trainer_memory import TRAINER, fill_micro_batch
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload


@dataclass(frozen=True)
class GpuSeconds:
    """Whole GPU-seconds: half of such runs end within p50, nine of ten within p90."""

    p50: int
    p90: int


@dataclass(frozen=True)
class RunEstimate:
    """One run on one GPU of a type. `calibration_runs` finished runs gave the interval its width; 0 is thin ground."""

    sku: str
    kind: RunKind
    work: RunWork
    gpu_seconds: GpuSeconds
    memory_gib: float
    fit: FitJudgement
    checkpointing: bool
    adapter_parameters: int
    calibration: str
    calibration_runs: int


def estimate_run(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    gpu: GpuProfile,
    calibration: Calibration,
    *,
    trainer_version: str,
) -> RunEstimate:
    """The estimate of our own trainer's run; gradient checkpointing auto is on where the run would not fit without.

    Raises: UnknownTargetModules.
    """
    batch, constants = fill_micro_batch(config, workload), load_memory_constants(TRAINER)
    method = choose_method(profile, config, workload, gpu)
    work = plan_run(profile, config, workload, method)
    kind = RunKind(gpu.sku, profile.family, method.precision, method.checkpointing, trainer_version)
    interval = calibration.estimate(kind, work, gpu)
    return RunEstimate(
        sku=gpu.sku,
        kind=kind,
        work=work,
        gpu_seconds=GpuSeconds(max(1, math.ceil(interval.p50)), max(1, math.ceil(interval.p90))),
        memory_gib=estimate_memory(profile, method, batch, constants).total,
        fit=judge_fit(profile, method, gpu, batch, constants),
        checkpointing=method.checkpointing,
        adapter_parameters=method.adapter_parameters,
        calibration=calibration.version,
        calibration_runs=interval.runs,
    )


def choose_method(profile: BaseModelProfile, config: TrainingConfig, workload: Workload, gpu: GpuProfile) -> Method:
    """As the trainer will choose on such a GPU. Raises: UnknownTargetModules."""
    precision = resolve_precision(config, gpu)
    asked = config.gradient_checkpointing
    kept = describe_method(profile, config, precision, checkpointing=asked is True)
    if asked != "auto":
        return kept
    batch = fill_micro_batch(config, workload)
    needed = estimate_memory(profile, kept, batch, load_memory_constants(TRAINER)).total
    if needed <= gpu.memory_gib * USABLE_SHARE:
        return kept
    return replace(kept, checkpointing=True)
