"""A template as it is filled in: YAML, read into what the API takes, and written for the form. Pure."""

from collections.abc import Mapping
from typing import Any

import yaml

from broker.console.frame.problem import Problem
from pricing.training.config import TrainingConfig
from pricing.unique_yaml import load_yaml

NO_YAML = Problem(422, "/problems/invalid-request", "Invalid request", "What is filled in is no YAML.", None)


class FieldUnreadable(ValueError):
    """What stands in a field is no YAML of its kind; `problem` says so at the field."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.problem = Problem(NO_YAML.status, NO_YAML.type, NO_YAML.title, NO_YAML.detail, None, {field: words})


def read_content(values: Mapping[str, str]) -> dict[str, Any]:
    """Read what a version of a template says. Raises: FieldUnreadable."""
    may_change = _read("may_change", values)
    if isinstance(may_change, list):
        may_change = dict.fromkeys(map(str, may_change))
    elif may_change is not None and not isinstance(may_change, dict):
        raise FieldUnreadable("may_change", "must be keys, each on a line of its own with a colon behind it")
    config = _read("config", values)
    if not isinstance(config, dict):
        raise FieldUnreadable("config", "must be keys with their values, as in the trainer's YAML file")
    bounds = {str(key): read_bounds(value) for key, value in (may_change or {}).items()}
    note = values.get("note", "").strip()
    return {"config": config, "may_change": bounds, **({"note": note} if note else {})}


def read_bounds(value: Any) -> Any:
    """Read the bounds of a key as people write them: nothing, a list of values, or `at_least` and `at_most`."""
    if value is None:
        return {}
    return {"one_of": value} if isinstance(value, list) else value


def write_content(config: Mapping[str, Any], may_change: Mapping[str, Any]) -> dict[str, str]:
    """Write what a version says as the form has it."""
    bounds = {key: told.get("one_of", told or None) for key, told in may_change.items()}
    return {"config": write_yaml(config), "may_change": write_yaml(bounds) if bounds else ""}


def write_yaml(value: Mapping[str, Any]) -> str:
    """Write a mapping with a line for each key, in the order of the trainer's reference."""
    known = list(TrainingConfig.model_fields)
    keys = sorted(value, key=lambda key: (known.index(key) if key in known else len(known), key))
    return "".join(f"{key}:{_write_value(value[key])}\n" for key in keys)


def _write_value(value: Any) -> str:
    if value is None:
        return ""
    written: str = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=float("inf"))
    return " " + written.removesuffix("\n").removesuffix("\n...")


def _read(field: str, values: Mapping[str, str]) -> Any:
    try:
        return load_yaml(values.get(field, ""))
    except yaml.YAMLError as error:
        raise FieldUnreadable(field, " ".join(str(error).split())) from error
