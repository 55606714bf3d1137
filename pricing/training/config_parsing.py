"""From a mapping that a person wrote to a training configuration, or to what is wrong with each key."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pricing.catalog.key_names import explain_key
from pricing.field_problem import FieldProblem
from pricing.number_fields import find_odd_values
from pricing.training.config import TrainingConfig

# Whoever sends thousands of unknown keys is told of the first ones.
MOST_TOLD = 50


class ConfigInvalid(ValueError):
    """The training configuration does not validate; `problems` names each key and its cure."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


def parse_training_config(raw: Mapping[str, Any]) -> TrainingConfig:
    """Validate a mapping read from YAML or JSON.

    Raises: ConfigInvalid, with one FieldProblem for each wrong key, or for the first of very many; an unknown key is
    told the nearest known one.
    """
    odd = find_odd_values(TrainingConfig, raw)
    problems = [FieldProblem(name, f"{words} (got {raw[name]!r})") for name, words in odd.items()]
    try:
        config = TrainingConfig.model_validate({name: value for name, value in raw.items() if name not in odd})
    except ValidationError as error:
        raise ConfigInvalid(problems + _describe_all(error)) from error
    if problems:
        raise ConfigInvalid(problems)
    return config


def _describe_all(error: ValidationError) -> list[FieldProblem]:
    return [_describe(dict(detail)) for detail in error.errors()[:MOST_TOLD]]


def _describe(detail: dict[str, Any]) -> FieldProblem:
    field = ".".join(str(part) for part in detail["loc"]) or "config"
    if detail["type"] == "extra_forbidden":
        known = list(TrainingConfig.model_fields)
        cure = explain_key(field, known) or f"known keys: {', '.join(known)}"
        return FieldProblem(field, f"unknown key; {cure}")
    if detail["type"] == "missing":
        return FieldProblem(field, "this key is required")
    return FieldProblem(field, f"{detail['msg']} (got {detail['input']!r})")
