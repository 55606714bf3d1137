"""The refusal of a configuration, key by key."""

from collections.abc import Sequence

from broker import errors
from pricing.training.config import TrainingConfig


def refuse_fields(found: Sequence[errors.FieldError]) -> errors.InvalidTrainingConfig:
    """Make the error that refuses these fields, with one message that names them all."""
    detail = "; ".join(f"{item.field}: {item.message}" for item in found)
    return errors.InvalidTrainingConfig(detail, errors=list(found))


def refuse_config(key: str, message: str) -> errors.InvalidTrainingConfig:
    """Make the error that refuses one key of the configuration."""
    return refuse_fields([errors.FieldError(f"config.{key}", message)])


def name_tolerance(config: TrainingConfig) -> tuple[str, str]:
    """Name the key that says how much may be left out, and what to do with it."""
    if config.max_bad_share is None:
        return "skip_bad_rows", "set it to true"
    return "max_bad_share", "raise it, or set skip_bad_rows: true,"
