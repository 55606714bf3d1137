"""The estimate of one run on one GPU type: how long, how much memory, and by which calibration."""

import math
from typing import NamedTuple

from pricing.calibration.calibration import Calibration, RunKind
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.plain_tuples import make
from pricing.resources.memory import FitJudgement, compute_usable_gib
from pricing.resources.method import resolve_precision
from pricing.resources.run_work import RunWork
from pricing.resources.trainer_memory import MethodMemory, TrainerMemory
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload


class GpuSeconds(NamedTuple):
    """Whole GPU-seconds: half of such runs end within p50, nine of ten within p90."""

    p50: int
    p90: int


class RunEstimate(NamedTuple):
    """One run on one GPU of a type, by the method that it was estimated with and the peak of that.

    `calibration_runs` finished runs gave the interval its width; with 0 it has that of published figures.
    """

    kind: RunKind
    work: RunWork
    gpu_seconds: GpuSeconds
    memory: MethodMemory
    fit: FitJudgement
    calibration: str
    calibration_runs: int

    @property
    def sku(self) -> str:
        return self.kind.sku

    @property
    def memory_gib(self) -> float:
        return self.memory.peak.gib

    @property
    def checkpointing(self) -> bool:
        return self.memory.method.checkpointing

    @property
    def adapter_parameters(self) -> int:
        return self.memory.method.adapter_parameters


def estimate_run(
    profile: BaseModelProfile,
    config: TrainingConfig,
    workload: Workload,
    gpu: GpuProfile,
    calibration: Calibration,
    *,
    trainer_version: str,
) -> RunEstimate:
    """Estimate our own trainer's run on a GPU type, by the method that the trainer will choose there.

    Raises: UnknownTargetModules.
    """
    precision = resolve_precision(config, gpu.auto_precision)
    job = TrainerMemory(profile, config, workload, precision)
    chosen = job.choose(compute_usable_gib(gpu), on_cpu=gpu.is_cpu)
    return estimate_method(job, chosen, gpu, calibration, trainer_version=trainer_version)


def estimate_method(
    job: TrainerMemory, chosen: MethodMemory, gpu: GpuProfile, calibration: Calibration, *, trainer_version: str
) -> RunEstimate:
    """Estimate a run of a job by one of its methods, whose peak is taken along and not worked out again."""
    method = chosen.method
    work = job.get_work(chosen)
    kind = make(RunKind, (gpu.sku, job.profile.family, method.precision, method.checkpointing, trainer_version))
    weighed = work.weigh(calibration.constants.get(gpu.sku))
    interval = calibration.widen(kind, weighed.compute_seconds(gpu))
    seconds = make(GpuSeconds, (math.ceil(interval.p50) or 1, math.ceil(interval.p90) or 1))
    fit = chosen.peak.judge_fit(gpu)
    return make(RunEstimate, (kind, work.counted, seconds, chosen, fit, calibration.version, interval.runs))
