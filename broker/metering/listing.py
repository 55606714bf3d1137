"""Listing a job's usage: a page of intervals at a time, with the sums of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_

from broker.metering.tables import UsageEvent
from broker.work import Work
from pricing.usage import Usage


@dataclass(frozen=True)
class UsagePage:
    """Some intervals of a job, run by run. `total` is the usage of all of them; `next_cursor` None: no more."""

    intervals: Sequence[UsageEvent]
    next_cursor: str | None
    total: Usage


async def list_usage(work: Work, job_id: str, *, limit: int, cursor: str | None) -> UsagePage:
    """List the intervals of a job after the one that the cursor names (run and number), and add up all of them."""
    query = select(UsageEvent).where(UsageEvent.job_id == job_id)
    if cursor is not None:
        run_id, _, sequence = cursor.partition("/")
        query = query.where(tuple_(UsageEvent.run_id, UsageEvent.sequence) > (run_id, int(sequence)))
    ordered = query.order_by(UsageEvent.run_id, UsageEvent.sequence).limit(limit + 1)
    rows = (await work.session.scalars(ordered)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = None if last is None else f"{last.run_id}/{last.sequence}"
    return UsagePage(rows[:limit], next_cursor, await _add_up(work, job_id))


async def _add_up(work: Work, job_id: str) -> Usage:
    sums = select(
        func.coalesce(func.sum(UsageEvent.gpu_seconds), 0), func.coalesce(func.sum(UsageEvent.tokens), 0)
    ).where(UsageEvent.job_id == job_id)
    gpu_seconds, tokens = (await work.session.execute(sums)).one()
    return Usage(int(gpu_seconds), int(tokens))
