"""What a job will need and cost, from its configuration and the lengths of its rows. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker import errors
from broker.quotes.tokens import RowLength
from pricing.catalog import GpuProfile, NoTokenizer, UnknownBaseModel, get_base_model
from pricing.catalog.profile import BaseModelProfile
from pricing.estimate.calibration import Calibration
from pricing.estimate.duration import Estimate, estimate_gpu_seconds
from pricing.estimate.memory import estimate_memory_gib
from pricing.estimate.training_config import PATH_KEYS, ConfigInvalid, TrainingConfig, parse_training_config
from pricing.estimate.workload import (
    UnknownTargetModules,
    Workload,
    count_adapter_parameters,
    plan_text_workload,
)

HOURS_STEP = Decimal("0.0001")


@dataclass(frozen=True)
class JobEstimate:
    """Units: GPU-seconds, tokens, GiB. `uncalibrated_gpu_seconds` is the p50 before this customer's own history."""

    base_model: str
    sku: str
    workload: Workload
    gpu_seconds: Estimate
    uncalibrated_gpu_seconds: int
    calibration: Calibration
    vram_gib: float
    adapter_parameters: int

    def to_json(self) -> dict[str, Any]:
        return {
            "base_model": self.base_model,
            "sku": self.sku,
            "gpu_seconds": {"p50": self.gpu_seconds.p50, "p90": self.gpu_seconds.p90},
            "gpu_hours": {"p50": as_hours(self.gpu_seconds.p50), "p90": as_hours(self.gpu_seconds.p90)},
            "tokens": self.workload.tokens,
            "rows": self.workload.rows,
            "steps": self.workload.steps,
            "vram_gib": round(self.vram_gib, 2),
            "adapter_parameters": self.adapter_parameters,
            "uncalibrated_gpu_seconds": self.uncalibrated_gpu_seconds,
            "calibration_runs": self.calibration.observations,
        }


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
        raise _refuse(
            [errors.FieldError(f"config.{found.field}", found.message) for found in error.problems]
        ) from error
    paths = sorted(PATH_KEYS & raw.keys())
    if paths:
        cure = "leave it out: a job takes its data from dataset_id and keeps its own output folder"
        raise _refuse([errors.FieldError(f"config.{key}", cure) for key in paths])
    try:
        profile = get_base_model(config.base_model)
        count_adapter_parameters(profile, config)
    except UnknownBaseModel as error:
        raise _refuse([errors.FieldError("config.base_model", str(error))]) from error
    except UnknownTargetModules as error:
        raise _refuse([errors.FieldError("config.target_modules", str(error))]) from error
    if profile.tokenizer is None:
        raise _refuse([errors.FieldError("config.base_model", str(NoTokenizer(profile.name)))])
    if config.max_length > profile.context_length:
        message = f"{profile.name} reads at most {profile.context_length} tokens"
        raise _refuse([errors.FieldError("config.max_length", message)])
    return config, profile


def _refuse(found: list[errors.FieldError]) -> errors.InvalidTrainingConfig:
    detail = "; ".join(f"{item.field}: {item.message}" for item in found)
    return errors.InvalidTrainingConfig(detail, errors=found)


def config_to_json(config: TrainingConfig) -> dict[str, Any]:
    """The configuration with its defaults written out, less the keys that only the trainer alone knows."""
    return config.model_dump(mode="json", exclude=set(PATH_KEYS))


def hash_config(config: TrainingConfig) -> str:
    """SHA-256 (hex) of the configuration with its defaults written out: equal however it was written."""
    canonical = json.dumps(config_to_json(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def learnable_lengths(lengths: Sequence[RowLength], config: TrainingConfig) -> list[int]:
    """Tokens of each row that training reads: one whose prompt alone fills `max_length` has nothing to learn.

    Raises: InvalidTrainingConfig, where no row is left.
    """
    whole = [min(row.whole, config.max_length) for row in lengths if row.prompt < min(row.whole, config.max_length)]
    if not whole:
        message = f"every row's prompt fills max_length ({config.max_length} tokens); raise it"
        raise _refuse([errors.FieldError("config.max_length", message)])
    return whole


def estimate_job(
    config: TrainingConfig,
    profile: BaseModelProfile,
    row_lengths: Sequence[int],
    gpu: GpuProfile,
    calibration: Calibration,
) -> JobEstimate:
    """Steps, tokens, GPU-seconds and memory of a job on one GPU of a type."""
    workload = plan_text_workload(row_lengths, config)
    return JobEstimate(
        base_model=profile.name,
        sku=gpu.sku,
        workload=workload,
        gpu_seconds=estimate_gpu_seconds(workload, profile, gpu, calibration=calibration),
        uncalibrated_gpu_seconds=estimate_gpu_seconds(workload, profile, gpu).p50,
        calibration=calibration,
        vram_gib=estimate_memory_gib(profile, config, workload),
        adapter_parameters=count_adapter_parameters(profile, config),
    )
