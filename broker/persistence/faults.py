"""What a failure of the database or of a disk means: gone, busy, too slow, or full. Pure."""

from enum import StrEnum

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
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


class Fault(StrEnum):
    """What failed that is nobody's mistake. Only where the database is away can nothing else be done either."""

    AWAY = "away"
    BUSY = "busy"
    TOO_SLOW = "too_slow"
    FULL = "full"


def find_fault(error: BaseException) -> Fault | None:
    """Find what a failure means; None for one that is a mistake: a wrong value, or our own.

    A lock that was not given in time, and a deadlock, are `BUSY`: the same may work in a moment.
    """
    if isinstance(error, PoolTimeout):
        return Fault.BUSY
    if isinstance(error, PendingRollbackError) and error.code == DEAD_TRANSACTION:
        return Fault.AWAY
    if isinstance(error, OSError):
        return Fault.FULL if error.errno in FULL_ERRNOS else None
    original = error.orig if isinstance(error, DBAPIError) else error
    if getattr(original, "sqlstate", None) == IDLE_TOO_LONG:
        return Fault.BUSY
    if isinstance(error, (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)):
        return _read_state(original)
    return None


def _read_state(error: BaseException | None) -> Fault:
    state = getattr(error, "sqlstate", None)
    if state in BUSY_STATES:
        return Fault.BUSY
    return {DISK_FULL: Fault.FULL, QUERY_CANCELED: Fault.TOO_SLOW}.get(state or "", Fault.AWAY)
