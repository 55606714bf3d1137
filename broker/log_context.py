"""What is bound to every line of the log that is told meanwhile: which run, job, contract a piece of work is about."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

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


@contextmanager
def told_of(*objects: object, **fields: str) -> Iterator[None]:
    """Bind what a block of background work is about; a request binds its own (`broker/http/access.py`)."""
    named = {name: word for each in objects for name, word in name_object(each).items()}
    with structlog.contextvars.bound_contextvars(**named, **fields):
        yield
