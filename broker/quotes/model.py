"""What a job will need and cost, from its configuration and the lengths of its rows. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from broker import __version__, errors
from broker.quotes.refusal import refuse_fields
from broker.quotes.tokens import RowLength
from pricing.calibration.calibration import Calibration
from pricing.catalog import NoTokenizer, UnknownBaseModel, get_base_model
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.memory_advice import list_fits
from pricing.estimate.run_estimate import GpuSeconds, RunEstimate, estimate_run
from pricing.resources.memory import USABLE_SHARE, FitJudgement
from pricing.training.adapter_parameters import UnknownTargetModules, count_adapter_parameters
from pricing.training.config import PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from pricing.training.family_keys import find_foreign_keys
from pricing.training.text_workload import plan_text_workload
from pricing.training.workload import Workload

HOURS_STEP = Decimal("0.0001")


@dataclass(frozen=True)
class JobEstimate:
    """What a job will need, on one GPU of a type."""

    base_model: str
    workload: Workload
    run: RunEstimate

    @property
    def gpu_seconds(self) -> GpuSeconds:
        return self.run.gpu_seconds

    def to_json(self) -> dict[str, Any]:
        """As the quote and the job keep it; `kind` and `work` are what the estimator will learn from."""
        run = self.run
        return {
            "base_model": self.base_model,
            "sku": run.sku,
            "gpu_seconds": {"p50": run.gpu_seconds.p50, "p90": run.gpu_seconds.p90},
            "gpu_hours": {"p50": as_hours(run.gpu_seconds.p50), "p90": as_hours(run.gpu_seconds.p90)},
            "tokens": self.workload.tokens,
            "loss_tokens": self.workload.loss_tokens,
            "padding_tokens": self.workload.padding_tokens,
            "rows": self.workload.rows,
            "steps": self.workload.steps,
            "vram_gib": round(run.memory_gib, 2),
            "fit": run.fit.value,
            "gradient_checkpointing": run.checkpointing,
            "adapter_parameters": run.adapter_parameters,
            "calibration": run.calibration,
            "calibration_runs": run.calibration_runs,
            "kind": asdict(run.kind),
            "work": run.work.to_json(),
        }


def refuse_what_does_not_fit(
    config: TrainingConfig, profile: BaseModelProfile, estimate: JobEstimate, gpu: GpuProfile
) -> None:
    """Raises: InvalidTrainingConfig, where not even the leanest run would fit; it names the least costly change."""
    if estimate.run.fit is not FitJudgement.DOES_NOT_FIT:
        return
    precision, usable = estimate.run.work.precision, gpu.memory_gib * USABLE_SHARE
    fits = list_fits(
        profile, config, estimate.workload, precision=precision, available_gib=usable, on_gpu=not gpu.is_cpu
    )
    cure = f"set {fits[0].describe()}" if fits else "no smaller batch or rank would fit; take a smaller base model"
    needed = f"needs about {estimate.run.memory_gib:.1f} GiB, {gpu.name} has {usable:.1f} GiB"
    raise refuse_fields([errors.FieldError("config.batch_size", f"{needed}: {cure}")])


def as_hours(gpu_seconds: int) -> str:
    """GPU-hours to four places, for people; GPU-seconds stay the exact unit."""
    return str((Decimal(gpu_seconds) / 3600).quantize(HOURS_STEP))


def resolve_config(raw: Mapping[str, Any]) -> tuple[TrainingConfig, BaseModelProfile]:
    """Check a customer's configuration: known keys, a base model of the catalogue, no path of the server.

    Raises: InvalidTrainingConfig, with each wrong key.
    """
    try:
        config = parse_training_config(raw)
    except ConfigInvalid as error:
        raise refuse_fields(
            [errors.FieldError(f"config.{found.field}", found.message) for found in error.problems]
        ) from error
    paths = sorted(PATH_KEYS & raw.keys())
    if paths:
        cure = "leave it out: a job takes its data from dataset_id and keeps its own output folder"
        raise refuse_fields([errors.FieldError(f"config.{key}", cure) for key in paths])
    try:
        profile = get_base_model(config.base_model)
        count_adapter_parameters(profile, config)
    except UnknownBaseModel as error:
        raise refuse_fields([errors.FieldError("config.base_model", str(error))]) from error
    except UnknownTargetModules as error:
        raise refuse_fields([errors.FieldError("config.target_modules", str(error))]) from error
    if profile.tokenizer is None:
        raise refuse_fields([errors.FieldError("config.base_model", str(NoTokenizer(profile.name)))])
    foreign = find_foreign_keys(config, profile.name, is_text=profile.is_text)
    if foreign:
        raise refuse_fields([errors.FieldError(f"config.{key}", reason) for key, reason in foreign.items()])
    if profile.is_text and config.max_length > profile.context_length:
        message = f"{profile.name} reads at most {profile.context_length} tokens"
        raise refuse_fields([errors.FieldError("config.max_length", message)])
    return config, profile


def config_to_json(config: TrainingConfig) -> dict[str, Any]:
    """The configuration with its defaults written out, less the keys that only the trainer alone knows."""
    return config.model_dump(mode="json", exclude=set(PATH_KEYS))


def hash_config(config: TrainingConfig) -> str:
    """SHA-256 (hex) of the configuration with its defaults written out: equal however it was written."""
    canonical = json.dumps(config_to_json(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def plan_text(lengths: Sequence[RowLength], config: TrainingConfig) -> Workload:
    """The work of a configuration on rows of these lengths. Raises: InvalidTrainingConfig, where no row is left."""
    rows = list_learnable(lengths, config)
    cut = [min(row.whole, config.max_length) for row in rows]
    return plan_text_workload(cut, config, [row.count_learnt(config.max_length) for row in rows])


def list_learnable(lengths: Sequence[RowLength], config: TrainingConfig) -> list[RowLength]:
    """The rows that training reads: one whose prompt alone fills `max_length` has nothing to learn.

    Raises: InvalidTrainingConfig, where no row is left.
    """
    rows = [row for row in lengths if row.prompt < min(row.whole, config.max_length)]
    if not rows:
        message = f"every row's prompt fills max_length ({config.max_length} tokens); raise it"
        raise refuse_fields([errors.FieldError("config.max_length", message)])
    return rows


def estimate_job(
    config: TrainingConfig,
    profile: BaseModelProfile,
    workload: Workload,
    gpu: GpuProfile,
    calibration: Calibration,
) -> JobEstimate:
    """Steps, tokens, GPU-seconds and memory of a job that does this work on one GPU of a type."""
    run = estimate_run(profile, config, workload, gpu, calibration, trainer_version=__version__)
    return JobEstimate(profile.name, workload, run)
