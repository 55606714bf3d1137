"""What a failure of the database or of a disk means: gone, busy, too slow, or full. Pure."""

from enum import StrEnum

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from broker.errors import FULL_ERRNOS

# Source: PostgreSQL's error codes (appendix A of its manual).
DISK_FULL, QUERY_CANCELED = "53100", "57014"
LOCK_NOT_AVAILABLE, DEADLOCK, SERIALIZATION, TOO_MANY_CONNECTIONS = "55P03", "40P01", "40001", "53300"
# Of a transaction in which nothing was asked for too long (`pool.py`): it is undone, and may be done again.
IDLE_TOO_LONG = "25P03"
# SQLAlchemy's code for going on with a transaction whose connection has died, after somebody passed that over.
DEAD_TRANSACTION = "8s2b"
BUSY_STATES = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK, SERIALIZATION, TOO_MANY_CONNECTIONS})
# The kinds of errors that may be one, for who has to name them: `find_fault` tells of each whether it is.
FAULT_TYPES: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    InternalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    PendingRollbackError,
    PoolTimeout,
    OSError,
    ExceptionGroup,
)


class Fault(StrEnum):
    """What failed that is nobody's mistake. Only where the database is away can nothing else be done either.

    Of several at once, the first counts.
    """

    AWAY = "away"
    FULL = "full"
    BUSY = "busy"
    TOO_SLOW = "too_slow"


# What is over in a moment: who has nothing else to do tries again.
PASSING = frozenset({Fault.AWAY, Fault.BUSY})


def find_fault(error: BaseException) -> Fault | None:
    """Find what a failure means; None for one that is a mistake: a wrong value, or our own.

    A lock that was not given in time, and a deadlock, are `BUSY`: the same may work in a moment. A group of errors is a
    mistake where one of them is.
    """
    if isinstance(error, ExceptionGroup):
        return _find_first(error)
    if isinstance(error, PoolTimeout):
        return Fault.BUSY
    if isinstance(error, PendingRollbackError) and error.code == DEAD_TRANSACTION:
        return Fault.AWAY
    if isinstance(error, OSError):
        return Fault.FULL if error.errno in FULL_ERRNOS else None
    original = error.orig if isinstance(error, DBAPIError) else error
    is_of_server = isinstance(
        error, (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
    )
    if getattr(original, "sqlstate", None) == IDLE_TOO_LONG:
        return Fault.BUSY
    return _read_state(original) if is_of_server else None


def _find_first(group: ExceptionGroup) -> Fault | None:
    found = {find_fault(error) for error in group.exceptions}
    return None if None in found else next(fault for fault in Fault if fault in found)


def _read_state(error: BaseException | None) -> Fault:
    state = getattr(error, "sqlstate", None)
    if state in BUSY_STATES:
        return Fault.BUSY
    return {DISK_FULL: Fault.FULL, QUERY_CANCELED: Fault.TOO_SLOW}.get(state or "", Fault.AWAY)
