"""A customer's configuration, checked: known keys, a base model of the catalogue, no path of the server. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker import errors
from broker.quotes.refusal import refuse_config, refuse_fields
from pricing.catalog import NoTokenizer, UnknownBaseModel, get_base_model
from pricing.catalog.profile import BaseModelProfile
from pricing.training.adapter_parameters import UnknownTargetModules, count_adapter_parameters
from pricing.training.config import PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from pricing.training.family_keys import find_foreign_keys


@dataclass(frozen=True)
class JobConfiguration:
    """What to train and how, with the profile of the base model that it names."""

    config: TrainingConfig
    profile: BaseModelProfile

    def to_json(self) -> dict[str, Any]:
        """Write the configuration with its defaults, without the keys that only the standalone trainer knows."""
        return self.config.model_dump(mode="json", exclude=set(PATH_KEYS))

    def compute_hash(self) -> str:
        """Compute the SHA-256 (hex) of what `to_json` writes: equal however the configuration was written."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def resolve_configuration(raw: Mapping[str, Any]) -> JobConfiguration:
    """Check a customer's configuration. Raises: InvalidTrainingConfig, with each wrong key."""
    config = _parse(raw)
    profile = _find_profile(config)
    if profile.tokenizer is None:
        raise refuse_config("base_model", str(NoTokenizer(profile.name)))
    foreign = find_foreign_keys(config, profile.name, is_text=profile.is_text)
    if foreign:
        raise refuse_fields([errors.FieldError(f"config.{key}", reason) for key, reason in foreign.items()])
    if profile.is_text and config.max_length > profile.context_length:
        raise refuse_config("max_length", f"{profile.name} reads at most {profile.context_length} tokens")
    return JobConfiguration(config, profile)


def _parse(raw: Mapping[str, Any]) -> TrainingConfig:
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
    return config


def _find_profile(config: TrainingConfig) -> BaseModelProfile:
    try:
        profile = get_base_model(config.base_model)
        count_adapter_parameters(profile, config)
    except UnknownBaseModel as error:
        raise refuse_config("base_model", str(error)) from error
    except UnknownTargetModules as error:
        raise refuse_config("target_modules", str(error)) from error
    return profile
