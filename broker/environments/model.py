"""Kinds of environments, states of pushes, the names that servers know adapters by, and when is tried again. Pure."""

import hashlib
import re
from datetime import timedelta
from enum import StrEnum


class Kind(StrEnum):
    """By which call a server takes an adapter."""

    TRAINER_SERVE = "trainer_serve"
    VLLM = "vllm"
    HTTP = "http"
    WEBHOOK = "webhook"


class ServesAs(StrEnum):
    """By which name a server knows an adapter: always the same for each style, one for each version, or by its id."""

    NAME = "name"
    VERSION = "version"
    ID = "id"


class PushState(StrEnum):
    """How far a push is: on its way, confirmed by the server, failed and tried again, or confirmed to be gone."""

    PUSHING = "pushing"
    LIVE = "live"
    FAILED = "failed"
    GONE = "gone"


class EnvironmentStatus(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


OPEN_STATES = (PushState.PUSHING, PushState.FAILED)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)
# What a server refuses for what it is will be refused again: it is tried for the case that the server was changed.
PAUSE_AFTER_REFUSAL = timedelta(hours=1)
MOST_DOUBLINGS = 10
MARK_DIGITS = 8
NO_NAME = re.compile(r"[/\\\x00-\x1f\x7f]+")


def name_served(serves_as: ServesAs, *, name: str, version: int, adapter_id: str, owner: str | None) -> str:
    """Name an adapter for a server. `owner`: the customer, where the server is of several; names are a customer's own.

    A stable name is what makes a swap: whoever asks for it gets the new version from then on. What no server could
    know by its own name has a mark of that name: `a/b` is never served as `a_b`.
    """
    if serves_as is ServesAs.ID:
        return adapter_id
    plain = name_plainly(name)
    own = plain if serves_as is ServesAs.NAME else f"{plain}_v{version}"
    return own if owner is None else f"{owner}/{own}"


def name_plainly(name: str) -> str:
    """Name an adapter so that it is a name for servers, folders and addresses; other names stay others. Pure."""
    plain = NO_NAME.sub("_", name).lstrip(".").strip()
    if plain == name:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:MARK_DIGITS]
    return f"{plain}-{mark}" if plain else mark


def compute_pause(attempts: int, *, is_refusal: bool) -> timedelta:
    """Compute how long to wait after so many attempts that failed: doubled each time, up to minutes; never for good."""
    if is_refusal:
        return PAUSE_AFTER_REFUSAL
    doubled: timedelta = FIRST_PAUSE * 2 ** min(attempts - 1, MOST_DOUBLINGS)
    return min(doubled, LONGEST_PAUSE)
