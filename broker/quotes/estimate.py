"""What a job will need on one device of a type. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from broker import __version__, errors
from broker.quotes.counting import PlannedJob
from broker.quotes.refusal import refuse_config
from pricing.calibration.calibration import Calibration, RunKind
from pricing.catalog.gpu import GpuProfile
from pricing.estimate.memory_advice import list_fits
from pricing.estimate.run_estimate import GpuSeconds, RunEstimate, estimate_run
from pricing.resources.memory import FitJudgement, compute_usable_gib
from pricing.resources.run_work import RunWork


@dataclass(frozen=True)
class JobEstimate:
    """What a job will need, on one device of a type: what its quote shows, its hold reserves and the planner expects.

    Units: GPU-seconds, tokens, rows of an epoch, optimizer steps, GiB. `kind` and `work` are what the estimator learns
    from once the job has run; `calibration_runs` finished runs gave the interval its width.
    """

    base_model: str
    sku: str
    gpu_seconds: GpuSeconds
    tokens: int
    loss_tokens: int | None
    padding_tokens: int
    rows: int
    steps: int
    vram_gib: float
    fit: FitJudgement
    gradient_checkpointing: bool
    adapter_parameters: int
    calibration: str
    calibration_runs: int
    kind: RunKind
    work: RunWork

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "JobEstimate":
        """Read what `to_json` wrote; further members, which an earlier release wrote, are passed over."""
        known = {name: written[name] for name in cls.__dataclass_fields__}
        values = {
            "gpu_seconds": GpuSeconds(**written["gpu_seconds"]),
            "fit": FitJudgement(written["fit"]),
            "kind": RunKind(**written["kind"]),
            "work": RunWork.from_json(written["work"]),
        }
        return cls(**{**known, **values})


def estimate_job(planned: PlannedJob, gpu: GpuProfile, calibration: Calibration) -> JobEstimate:
    """Estimate steps, tokens, GPU-seconds and memory of a planned job on one device of a type.

    Raises: InvalidTrainingConfig, where not even the leanest run would fit; it names the least costly change.
    """
    config, profile, workload = planned.configuration.config, planned.configuration.profile, planned.workload
    run = estimate_run(profile, config, workload, gpu, calibration, trainer_version=__version__)
    if run.fit is FitJudgement.DOES_NOT_FIT:
        raise _refuse_size(planned, run, gpu)
    return JobEstimate(
        base_model=profile.name,
        sku=run.sku,
        gpu_seconds=run.gpu_seconds,
        tokens=workload.tokens,
        loss_tokens=workload.loss_tokens,
        padding_tokens=workload.padding_tokens,
        rows=workload.rows,
        steps=workload.steps,
        vram_gib=round(run.memory_gib, 2),
        fit=run.fit,
        gradient_checkpointing=run.checkpointing,
        adapter_parameters=run.adapter_parameters,
        calibration=run.calibration,
        calibration_runs=run.calibration_runs,
        kind=run.kind,
        work=run.work,
    )


def _refuse_size(planned: PlannedJob, run: RunEstimate, gpu: GpuProfile) -> errors.InvalidTrainingConfig:
    usable = compute_usable_gib(gpu)
    fits = list_fits(
        planned.configuration.profile,
        planned.configuration.config,
        planned.workload,
        precision=run.work.precision,
        available_gib=usable,
        on_gpu=not gpu.is_cpu,
    )
    cure = f"set {fits[0].describe()}" if fits else "no smaller batch or rank would fit; take a smaller base model"
    needed = f"needs about {run.memory_gib:.1f} GiB, {gpu.name} has {usable:.1f} GiB"
    return refuse_config("batch_size", f"{needed}: {cure}")
