"""What a job will need on one device of a type. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from broker import __version__, errors
from broker.quotes.checking.refusal import refuse_config, refuse_fields
from broker.quotes.counts.counting import PlannedJob
from pricing.budget import JobNeed
from pricing.calibration.calibration import Calibration, RunKind
from pricing.calibration.change import Change
from pricing.catalog.gpu import GpuProfile
from pricing.estimate.memory_advice import list_fits
from pricing.estimate.run_estimate import GpuSeconds, RunEstimate, estimate_run
from pricing.estimate.several_gpus import spread_run
from pricing.resources.exclusions import find_exclusion
from pricing.resources.memory import FitJudgement, compute_usable_gib
from pricing.resources.run_work import RunWork

COUNTS = ("tokens", "padding_tokens", "rows", "steps", "adapter_parameters", "calibration_runs")
INT64_END = 2**63


@dataclass(frozen=True)
class JobEstimate:
    """What a job will need on devices of a type: what its quote shows, its hold reserves and the planner expects.

    Units: GPU-seconds, tokens, rows of an epoch, optimizer steps, GiB. `kind` and `work` are what the estimator learns
    from once the job has run; `calibration_runs` finished runs gave the interval its width. `gpus` devices of one
    machine share its steps; memory is that of each. `machine_load` is that of the machine when it was quoted, for each
    core; None where that is not known. `vram_parts` is the peak by what it is for, in GiB; None in what versions of
    before kept. `change` is the last one that was found of the type; None where none was.
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
    gpus: int = 1
    machine_load: float | None = None
    vram_parts: Mapping[str, float] | None = None
    change: Change | None = None

    def count_need(self) -> JobNeed:
        """Count what the whole job needs where it takes its p50."""
        return JobNeed(self.gpu_seconds.p50, self.tokens, self.steps, self.steps)

    def to_json(self) -> dict[str, Any]:
        parts = {"gpu_seconds": self.gpu_seconds._asdict(), "kind": self.kind._asdict(), "work": self.work.to_json()}
        return {**vars(self), **parts, "change": self.change and asdict(self.change)}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> "JobEstimate":
        """Read what `to_json` wrote; further members, which an earlier release wrote, are passed over.

        Raises: KeyError, TypeError, ValueError, for what it never wrote.
        """
        # Versions of before have none of these.
        later = {name: written.get(name) for name in ("machine_load", "vram_parts", "change")}
        later["gpus"] = written.get("gpus", 1)
        known = {name: written[name] for name in cls.__dataclass_fields__.keys() - later.keys()} | later
        _check_counts(written, COUNTS)
        _check_counts(written["gpu_seconds"], ("p50", "p90"))
        values = {
            "gpu_seconds": GpuSeconds(**written["gpu_seconds"]),
            "fit": FitJudgement(written["fit"]),
            "kind": RunKind(**written["kind"]),
            "work": RunWork.from_json(written["work"]),
            "change": later["change"] and Change(**later["change"]),
        }
        return cls(**{**known, **values})


def _check_counts(written: Mapping[str, Any], names: Sequence[str]) -> None:
    """Check that what is counted are whole numbers of 64 bits, not below zero. Raises: KeyError, ValueError."""
    for name in names:
        value = written[name]
        if type(value) is not int or not 0 <= value < INT64_END:
            raise ValueError(f"{name} is {value!r}, no whole number of 64 bits")


def refuse_beyond(planned: PlannedJob, estimate: JobEstimate, most_gpu_hours: int) -> None:
    """Refuse a job that is expected to need more than this broker sells to one. Raises: InvalidTrainingConfig."""
    hours, epochs = -(-estimate.gpu_seconds.p90 // 3600), planned.configuration.config.epochs
    if hours <= most_gpu_hours:
        return
    fitting = epochs * most_gpu_hours // hours
    cure = f"lower it to {fitting}, or send a smaller data set or choose a smaller base model"
    if not fitting:
        cure = "even one is too much: send a smaller data set or choose a smaller base model"
    needed = f"the job is expected to need up to {hours} GPU-hours, and one may need {most_gpu_hours}"
    raise refuse_config("epochs", f"{needed}; {cure}")


def refuse_several(gpus: int, largest: int | None, gpu: GpuProfile) -> None:
    """Refuse a job of more devices than a machine of a type has; `largest` None: no pool is open, and nobody tells.

    Raises: InvalidTrainingConfig.
    """
    if gpus <= (largest or 1):
        return
    told = f"no machine has more than {largest} of {gpu.name}, and jobs over several machines come later"
    cure = f"{told}; ask for {largest} or fewer"
    if largest is None:
        cure = "no pool is open, so that nobody tells how many a machine has; ask for 1, or once a pool is open"
    raise refuse_fields([errors.FieldError("gpus", cure)])


@dataclass(frozen=True)
class SharedJob:
    """A job on so many devices of one machine; `shared` is planned as they share its steps, on one as it is."""

    planned: PlannedJob
    shared: PlannedJob
    gpus: int = 1


def estimate_job(job: SharedJob, gpu: GpuProfile, calibration: Calibration) -> JobEstimate:
    """Estimate steps, tokens, GPU-seconds and memory of a planned job on devices of a type; memory is that of each.

    Raises: InvalidTrainingConfig, where the device cannot run the method, or where not even the leanest run would fit;
    it names the least costly change.
    """
    planned, shared = job.planned, job.shared
    config, profile, workload = shared.configuration.config, planned.configuration.profile, planned.workload
    excluded = find_exclusion(gpu, config.quantization, config.precision)
    if excluded is not None:
        raise refuse_config(*excluded)
    run = estimate_run(profile, config, shared.workload, gpu, calibration, trainer_version=__version__)
    if job.gpus > 1:
        run = spread_run(run, config, gpu, calibration, job.gpus)
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
        gpus=job.gpus,
        vram_parts={name: round(gib, 3) for name, gib in run.memory.peak.parts._asdict().items()},
        change=calibration.changes.get(run.sku),
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
    return refuse_config("batch_size", f"{needed}; {cure}")
