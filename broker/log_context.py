"""What is bound to every line of the log that is told meanwhile: which run, job, contract a piece of work is about.

It is one variable of the context. structlog has one for each name, and looks through all of a context for them with
every line and every word that is bound: that was a fortieth of a submission.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_BOUND: ContextVar[Mapping[str, str]] = ContextVar("bound_to_lines")

# What begins the id of an object, and the name of the field that tells it.
FIELD_OF = {
    "agt": "agent_id",
    "con": "contract_id",
    "cus": "customer_id",
    "inv": "invoice_id",
    "job": "job_id",
    "run": "run_id",
}


def name_object(told: object) -> dict[str, str]:
    """Name an object by the field that its id belongs in; nothing for what has no id of these."""
    prefix, separator, rest = told.partition("_") if isinstance(told, str) else ("", "", "")
    return {FIELD_OF[prefix]: str(told)} if separator and rest and prefix in FIELD_OF else {}


def get_bound() -> Mapping[str, str]:
    """Get what is bound to lines here, by its names."""
    return _BOUND.get({})


def bind(**fields: str) -> None:
    """Bind more to the lines that are told from now on."""
    _BOUND.set({**get_bound(), **fields})


def bind_anew(bound: Mapping[str, str]) -> None:
    """Bind these fields alone."""
    _BOUND.set(bound)


@contextmanager
def told_of(*objects: object, **fields: str) -> Iterator[None]:
    """Bind what a block of background work is about; a request binds its own (`broker/http/access.py`)."""
    named = {name: word for each in objects for name, word in name_object(each).items()}
    around = _BOUND.set({**get_bound(), **named, **fields})
    try:
        yield
    finally:
        _BOUND.reset(around)
