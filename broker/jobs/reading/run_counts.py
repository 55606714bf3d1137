"""Runs counted for metrics: those that ended lately, and the devices that runs hold."""

from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select

from broker.jobs.tables import Run
from broker.work import Work


async def count_ends(work: Work, *, since: datetime) -> dict[str, int]:
    """Count the runs that ended since a moment, by cause; found by an index."""
    query = select(Run.cause, func.count()).where(Run.ended_at > since, Run.cause.is_not(None)).group_by(Run.cause)
    return {str(cause): number for cause, number in await work.session.execute(query)}


async def count_held(work: Work) -> dict[str, int]:
    """Count the devices that runs hold, by pool."""
    held = cast(func.sum(Run.gpus), BigInteger)
    query = select(Run.pool, held).where(Run.status.in_(("starting", "running"))).group_by(Run.pool)
    return dict((await work.session.execute(query)).all())
