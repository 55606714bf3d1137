"""How good the starts were that waiting jobs were told, week by week: how many had started by p50 and by p90."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import BigInteger, and_, cast, func, or_, select

from broker.capacity.service import get_queue
from broker.jobs.tables import StartPromise
from broker.work import Work

WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class WeekOfStarts:
    """The starts that were promised in a week, which begins on a Monday (UTC).

    `decided`: those of which it is known whether they were kept: the job has started, or waits beyond its p90.
    `by_p50` and `by_p90` of them had started by then. `median_error_seconds`: how much later than p50 half of those
    that started did; below zero: earlier. None where none has started.
    """

    week: datetime
    promised: int
    decided: int
    started: int
    by_p50: int
    by_p90: int
    slipped: int
    median_error_seconds: int | None

    @property
    def coverage_p50(self) -> Decimal | None:
        """Tell the share of the decided that had started by p50: one half, where forecasts are right."""
        return _divide(self.by_p50, self.decided)

    @property
    def coverage_p90(self) -> Decimal | None:
        """Tell the share of the decided that had started by p90: nine tenths, where forecasts are right."""
        return _divide(self.by_p90, self.decided)


async def judge_starts(work: Work, weeks: int, queue: str | None = None) -> Sequence[WeekOfStarts]:
    """Judge the starts that were promised in the last so many weeks, the newest week first; of one queue, or all.

    Raises: NotFound, for a queue that there is not.
    """
    week = func.date_trunc("week", StartPromise.told_at, "UTC")
    started = StartPromise.started_at.is_not(None)
    is_late = and_(StartPromise.closed_at.is_(None), StartPromise.p90 < work.now)
    error = func.extract("epoch", StartPromise.started_at - StartPromise.p50)
    query = (
        select(
            week,
            func.count(),
            func.count().filter(or_(started, is_late)),
            func.count().filter(started),
            func.count().filter(StartPromise.started_at <= StartPromise.p50),
            func.count().filter(StartPromise.started_at <= StartPromise.p90),
            func.count().filter(StartPromise.slips > 0),
            cast(func.percentile_cont(0.5).within_group(error), BigInteger),
        )
        .where(StartPromise.told_at >= _find_begin(work.now, weeks))
        .group_by(week)
        .order_by(week.desc())
    )
    if queue is not None:
        await get_queue(work, queue)
        query = query.where(StartPromise.queue == queue)
    return [WeekOfStarts(*row) for row in await work.session.execute(query)]


def _find_begin(now: datetime, weeks: int) -> datetime:
    """Find the Monday with which the last so many weeks began, this one included."""
    monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    return monday - WEEK * (weeks - 1)


def _divide(part: int, whole: int) -> Decimal | None:
    return None if whole == 0 else (Decimal(part) / whole).quantize(Decimal("0.0001"))
