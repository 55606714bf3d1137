"""Listing a job's usage: a page of events at a time, with the sums of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_

from broker.metering.events.model import MAX_SEQUENCE
from broker.metering.reading.grouping import foreign_cursor, read_cursor, write_cursor
from broker.metering.tables import UsageEvent
from broker.work import Work
from pricing.usage import Usage

# An interval comes before its corrections, which have its number.
ORDER = (UsageEvent.run_id, UsageEvent.sequence, UsageEvent.received_at, UsageEvent.event_id)
Position = tuple[str, int, datetime, str]


@dataclass(frozen=True)
class UsagePage:
    """Some usage events of a job, run by run. `total` is the usage of all of them; `next_cursor` None: no more."""

    intervals: Sequence[UsageEvent]
    next_cursor: str | None
    total: Usage


async def list_usage(work: Work, job_id: str, *, limit: int, cursor: str | None) -> UsagePage:
    """List the usage events of a job after the one that the cursor names, and add up all of them.

    Raises: InvalidRequest.
    """
    query = select(UsageEvent).where(UsageEvent.job_id == job_id)
    if cursor is not None:
        query = query.where(tuple_(*ORDER) > _read_position(cursor))
    rows = (await work.session.scalars(query.order_by(*ORDER).limit(limit + 1))).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return UsagePage(rows[:limit], None if last is None else _write_position(last), await _add_up(work, job_id))


def _write_position(row: UsageEvent) -> str:
    return write_cursor([row.run_id, str(row.sequence), row.received_at.isoformat(), row.event_id])


def _read_position(cursor: str) -> Position:
    """Read which event a cursor names. Raises: InvalidRequest."""
    run_id, sequence, received_at, event_id = read_cursor(cursor, len(ORDER))
    try:
        position = run_id, int(sequence), datetime.fromisoformat(received_at), event_id
    except ValueError as error:
        raise foreign_cursor() from error
    if abs(position[1]) > MAX_SEQUENCE or position[2].tzinfo is None:
        raise foreign_cursor()
    return position


async def _add_up(work: Work, job_id: str) -> Usage:
    sums = select(
        func.coalesce(func.sum(UsageEvent.gpu_seconds), 0), func.coalesce(func.sum(UsageEvent.tokens), 0)
    ).where(UsageEvent.job_id == job_id)
    gpu_seconds, tokens = (await work.session.execute(sums)).one()
    return Usage(int(gpu_seconds), int(tokens))
