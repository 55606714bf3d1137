"""What a policy file says: who goes first, who may pass, who may be preempted. Pure.

`docs/simulation.md` has the format, with examples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import pairwise
from typing import Any

from broker.scheduling.planning.rules.least_attained import DEFAULT_LEVELS
from broker.scheduling.planning.values.pools import Discipline


class Backfill(StrEnum):
    """Who may pass a job that does not fit: as today's planner has it, nobody, or others in an order of their own."""

    PLANNER = "planner"
    NONE = "none"
    FIRST_COME = "first-come"
    SHORTEST_FIRST = "shortest-first"


class Deadlines(StrEnum):
    """What becomes of deadlines: nothing, or they are promised at the door where all promises can be kept."""

    IGNORE = "ignore"
    PROMISE = "promise"


# Above how many times its length a job's rank ages. Of least attained service the length is what was had so far, which
# is too short: slowdowns look larger.
AGING_SLOWDOWN = 10.0
AGING_SLOWDOWN_ATTAINED = 100.0
MOST = 10**12


class BadPolicy(ValueError):
    """A policy that says what none can; the message names the field and what it must be."""


@dataclass(frozen=True)
class PolicySettings:
    """The fields of a policy file. Units: seconds, GPU-seconds; infinity for no bound."""

    discipline: Discipline = Discipline.FAIR
    backfill: Backfill = Backfill.PLANNER
    preempt: bool = False
    deadlines: Deadlines = Deadlines.IGNORE
    max_wait_seconds: float = math.inf
    aging_slowdown: float = AGING_SLOWDOWN
    restart_s: float = 30.0
    levels_gpu_s: tuple[float, ...] = DEFAULT_LEVELS


def read_policy(document: object) -> PolicySettings:
    """Read the settings out of a parsed file. Raises: BadPolicy."""
    if not isinstance(document, Mapping):
        raise BadPolicy("must hold fields with values, such as `discipline: first-come`")
    document = _rename(document)
    known = [field.name for field in fields(PolicySettings)]
    for name in document:
        if name not in known:
            raise BadPolicy(f"field {name!r} is unknown; the fields are {', '.join(known)}")
    discipline = _read_choice(document, "discipline", Discipline, Discipline.FAIR)
    aging = AGING_SLOWDOWN_ATTAINED if discipline is Discipline.LEAST_ATTAINED else AGING_SLOWDOWN
    settings = PolicySettings(
        discipline=discipline,
        backfill=_read_choice(document, "backfill", Backfill, Backfill.PLANNER),
        preempt=_read_flag(document, "preempt"),
        deadlines=_read_choice(document, "deadlines", Deadlines, Deadlines.IGNORE),
        max_wait_seconds=_read_number(document, "max_wait_seconds", "a number of seconds above 0"),
        aging_slowdown=_read_number(document, "aging_slowdown", "a number of at least 1", least=1.0, default=aging),
        restart_s=_read_number(document, "restart_s", "a number of seconds of at least 0", least=0.0, default=30.0),
        levels_gpu_s=_read_levels(document),
    )
    _check_together(settings, document)
    return settings


def _rename(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read a field by the name that it had before, too. Raises: BadPolicy, where it has both."""
    if "max_wait_s" not in document:
        return document
    if "max_wait_seconds" in document:
        raise BadPolicy("max_wait_s is called max_wait_seconds now: name one of them")
    return {"max_wait_seconds" if name == "max_wait_s" else name: value for name, value in document.items()}


def _read_choice(document: Mapping[str, Any], name: str, choices: type[StrEnum], default: StrEnum) -> Any:
    value = document.get(name, default)
    known = [choice.value for choice in choices]
    if value not in known:
        raise BadPolicy(f"{name} must be one of {', '.join(known)}, and is {value!r}")
    return choices(value)


def _read_flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise BadPolicy(f"{name} must be true or false, and is {value!r}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value <= MOST


def _read_number(
    document: Mapping[str, Any], name: str, told: str, *, least: float | None = None, default: float = math.inf
) -> float:
    value = document.get(name)
    if value is None:
        return default
    if not _is_number(value) or (value <= 0 if least is None else value < least):
        raise BadPolicy(f"{name} must be {told}, and is {value!r}")
    return float(value)


def _read_levels(document: Mapping[str, Any]) -> tuple[float, ...]:
    value = document.get("levels_gpu_s", list(DEFAULT_LEVELS))
    if not isinstance(value, list) or not value or not all(map(_is_number, value)):
        raise BadPolicy(f"levels_gpu_s must be a list of GPU-seconds, and is {value!r}")
    if any(level <= 0 for level in value) or any(one >= next_one for one, next_one in pairwise(value)):
        raise BadPolicy(f"levels_gpu_s must ascend from above 0, and is {value!r}")
    return tuple(map(float, value))


def _check_together(settings: PolicySettings, document: Mapping[str, Any]) -> None:
    if settings.discipline is Discipline.FAIR and settings.preempt:
        raise BadPolicy("preempt must be false with discipline fair: name one by service, or first-come")
    if settings.discipline is Discipline.FAIR and settings.backfill is not Backfill.PLANNER:
        raise BadPolicy("backfill must be planner with discipline fair, which only today's planner has")
    if settings.preempt and settings.backfill is not Backfill.PLANNER:
        raise BadPolicy("backfill must be left out with preempt: true: who should run does, and all others fill up")
    if settings.preempt and settings.max_wait_seconds < math.inf:
        raise BadPolicy("max_wait_seconds must be left out with preempt: true; there aging_slowdown keeps jobs going")
    if "levels_gpu_s" in document and settings.discipline is not Discipline.LEAST_ATTAINED:
        raise BadPolicy("levels_gpu_s must be left out: only discipline least-attained-service has levels")
    if not settings.preempt:
        _check_without_preemption(settings, document)


def _check_without_preemption(settings: PolicySettings, document: Mapping[str, Any]) -> None:
    if settings.discipline is Discipline.LEAST_ATTAINED:
        raise BadPolicy("discipline least-attained-service needs preempt: true; one that waits has attained nothing")
    if settings.deadlines is Deadlines.PROMISE:
        raise BadPolicy("deadlines: promise needs preempt: true; jobs without a promise must yield")
    if "aging_slowdown" in document:
        raise BadPolicy("aging_slowdown needs preempt: true; without, max_wait_seconds keeps jobs from starving")
    if "restart_s" in document:
        raise BadPolicy("restart_s needs preempt: true; without, nothing is started again")
