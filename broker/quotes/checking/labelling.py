"""A customer's configuration of a job that labels pictures, or checks data, with its defaults. Pure."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from broker import errors
from broker.quotes.checking.configuration import JobConfiguration, resolve_configuration
from broker.quotes.checking.refusal import refuse_config, refuse_fields
from pricing.catalog.captioners import Captioner, UnknownCaptioner
from pricing.catalog.offered import SHIPPED, OfferedModels
from pricing.training.check_config import CheckConfig, is_check_config, parse_check_config
from pricing.training.config_parsing import ConfigInvalid
from pricing.training.label_config import (
    CHECK,
    KIND,
    KINDS,
    TRAINING,
    LabelConfig,
    is_label_config,
    parse_label_config,
)

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class LabelConfiguration:
    """Which pictures to label and how, with the captioning model that it names."""

    config: LabelConfig
    captioner: Captioner

    def to_json(self) -> dict[str, Any]:
        """Write the configuration with its defaults."""
        return self.config.model_dump(mode="json") | {"base_model": self.captioner.name}

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of what `to_json` writes: equal however the configuration was written."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class CheckConfiguration:
    """What a data set is checked for."""

    config: CheckConfig

    def to_json(self) -> dict[str, Any]:
        """Write the configuration with its defaults."""
        return self.config.model_dump(mode="json") | {"base_model": CHECK}

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of what `to_json` writes."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


Configuration = JobConfiguration | LabelConfiguration | CheckConfiguration


def resolve_order(raw: Mapping[str, Any], offered: OfferedModels = SHIPPED) -> Configuration:
    """Check a customer's configuration of any kind against the models on offer.

    Raises: InvalidTrainingConfig, with each wrong key.
    """
    if raw.get(KIND, TRAINING) == TRAINING:
        return resolve_configuration({key: value for key, value in raw.items() if key != KIND}, offered)
    if is_check_config(raw):
        return CheckConfiguration(_parse(parse_check_config, raw))
    if not is_label_config(raw):
        raise refuse_config(KIND, f"there is no such kind of job (got {raw[KIND]!r}); write {' or '.join(KINDS)}")
    config = _parse(parse_label_config, raw)
    try:
        return LabelConfiguration(config, offered.captioners.get(config.base_model))
    except UnknownCaptioner as error:
        raise refuse_config("base_model", str(error)) from error


def _parse(parse: Callable[[Mapping[str, Any]], Parsed], raw: Mapping[str, Any]) -> Parsed:
    try:
        return parse(raw)
    except ConfigInvalid as error:
        found = [errors.FieldError(f"config.{problem.field}", problem.message) for problem in error.problems]
        raise refuse_fields(found) from error
