"""What every line of the log carries that is told on the way of one request: its id, its actor, its job and run.

It is one mapping in one context variable: tasks that a request starts inherit it, and none changes another's.
"""

from collections.abc import Mapping
from contextvars import ContextVar

NOTHING: Mapping[str, str] = {}
_BOUND: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=NOTHING)


def begin_context(**told: str) -> None:
    """Begin anew: lines carry this, and nothing that was bound before."""
    _BOUND.set(told)


def bind_context(**told: str) -> None:
    """Have further lines carry this, too."""
    _BOUND.set({**_BOUND.get(), **told})


def get_context() -> Mapping[str, str]:
    """Get what lines carry now."""
    return _BOUND.get()
