"""What a policy file says: who goes first, who may pass, who may be preempted. Pure.

`docs/simulation.md` has the format, with examples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Discipline(StrEnum):
    """The order of the line."""

    FAIR = "fair"
    FIRST_COME = "first-come"
    SHORTEST_REMAINING = "shortest-remaining-service"


class Backfill(StrEnum):
    """Who may pass a job that does not fit: nobody, or others in this order that do not delay it."""

    NONE = "none"
    FIRST_COME = "first-come"
    SHORTEST_FIRST = "shortest-first"


class BadPolicy(ValueError):
    """A policy that says what none can; the message names the field and what it must be."""


@dataclass(frozen=True)
class PolicySettings:
    """The fields of a policy file; `max_wait_s` in seconds, infinity for no bound."""

    discipline: Discipline = Discipline.FAIR
    backfill: Backfill = Backfill.NONE
    max_wait_s: float = math.inf


def read_policy(document: object) -> PolicySettings:
    """Read the settings out of a parsed file. Raises: BadPolicy."""
    if not isinstance(document, Mapping):
        raise BadPolicy("must hold fields with values, such as `discipline: first-come`")
    known = [field.name for field in fields(PolicySettings)]
    for name in document:
        if name not in known:
            raise BadPolicy(f"field {name!r} is unknown; the fields are {', '.join(known)}")
    settings = PolicySettings(
        discipline=_read_choice(document, "discipline", Discipline, Discipline.FAIR),
        backfill=_read_choice(document, "backfill", Backfill, Backfill.NONE),
        max_wait_s=_read_seconds(document, "max_wait_s"),
    )
    return _check_together(settings)


def _read_choice(document: Mapping[str, Any], name: str, choices: type[StrEnum], default: StrEnum) -> Any:
    value = document.get(name, default)
    known = [choice.value for choice in choices]
    if value not in known:
        raise BadPolicy(f"{name} must be one of {', '.join(known)}, and is {value!r}")
    return choices(value)


def _read_seconds(document: Mapping[str, Any], name: str) -> float:
    value = document.get(name)
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise BadPolicy(f"{name} must be a number of seconds above 0, and is {value!r}")
    return float(value)


def _check_together(settings: PolicySettings) -> PolicySettings:
    if settings.discipline is Discipline.FAIR and settings != PolicySettings():
        raise BadPolicy("discipline fair is today's planner, as it is: it takes no other field")
    return settings
