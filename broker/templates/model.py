"""What of a template a job may change, and within what bounds. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self

from broker.errors import FieldError

ID_PREFIX = "tpl_"
# A name may carry the version that is meant: `template_sd_v15@3`.
REFERENCE = re.compile(r"(?P<name>[^@]+?)(?:@(?P<version>[1-9][0-9]{0,8}))?")


@dataclass(frozen=True)
class Bounds:
    """What a job may put in place of a value: a number within two, one of several, or, where nothing is said, any."""

    at_least: float | None = None
    at_most: float | None = None
    one_of: Sequence[Any] | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        return cls(**written)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}

    def explain(self, value: Any) -> str | None:
        """Tell in words what a value must be; None for one that is within the bounds."""
        value = _read_number(value)
        if self.one_of is not None:
            choices = ", ".join(map(str, self.one_of))
            return None if _is_among(value, self.one_of) else f"must be one of {choices} in jobs of this template"
        if self.at_least is None and self.at_most is None:
            return None
        within = (
            _is_number(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )
        return None if within else f"must be a number {self._describe()} in jobs of this template"

    def _describe(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        return f"of at least {self.at_least}" if self.at_least is not None else f"of at most {self.at_most}"


def _is_among(value: Any, written: Sequence[Any]) -> bool:
    """Tell whether a value is one of several; in Python `True` is 1, in a configuration it is not."""
    choices = list(map(_read_number, written))
    return any(type(value) is type(each) and value == each for each in choices) or (
        _is_number(value) and any(_is_number(each) and value == each for each in choices)
    )


def _read_number(value: Any) -> Any:
    """Read what is written as a number in quotes, as the trainer does: YAML takes `3e-3` for a word."""
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return number if not isinstance(value, str) or isfinite(number) else value


def _is_same(one: Any, other: Any) -> bool:
    return bool(_read_number(one) == _read_number(other))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Reference:
    """Which template is meant: by its id or its name, and which version; None: the newest."""

    named: str
    version: int | None

    @property
    def is_id(self) -> bool:
        return self.named.startswith(ID_PREFIX)

    @classmethod
    def read(cls, written: str) -> Self | None:
        """Read what a person wrote, such as `template_sd_v15@3`; None where it can name no template."""
        found = REFERENCE.fullmatch(written)
        return found and cls(found["name"], int(found["version"]) if found["version"] else None)


def fill_in(
    config: Mapping[str, Any], may_change: Mapping[str, Bounds], changes: Mapping[str, Any]
) -> tuple[dict[str, Any], list[FieldError]]:
    """Put the changes of a job into the configuration of a template; tells of each that may not be made.

    What a job says again just as the template has it is no change.
    """
    refused = []
    for key, value in changes.items():
        if key in config and _is_same(config[key], value):
            continue
        if key not in may_change:
            may = ", ".join(sorted(may_change)) or "nothing"
            refused.append(FieldError(key, f"the template does not let a job change it; it may change {may}"))
        elif (wrong := may_change[key].explain(value)) is not None:
            refused.append(FieldError(key, wrong))
    return {**config, **changes}, refused
