"""A page of the line: the jobs that wait, in the planner's order as each was told its place last, and how many do.

A place far behind is told anew once it has moved by a twentieth (`scheduling/cycle/waits.py`): two may have been told
the same one, and stand in the order of their age then. Who was told nothing yet stands last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, cast, func, literal, literal_column, select, tuple_

from broker.jobs.reading.queueing import NOT_PLANNED
from broker.jobs.reading.waiting_sums import LEFT_SECONDS
from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job
from broker.work import Work

# As the index has them, with their values in the statement: of a parameter PostgreSQL does not know what it will be.
IS_WAITING = Job.status == literal_column(f"'{JobStatus.QUEUED.value}'")
IN_ORDER = (Job.pending_place.asc().nulls_last(), Job.created_at, Job.id)


@dataclass(frozen=True)
class LineFilter:
    """Which jobs of the line are wanted; None: whichever.

    `reason` is the code that each was told, `sku` the type that it prefers.
    """

    queue: str | None = None
    reason: str | None = None
    customer_id: str | None = None
    contract_id: str | None = None
    sku: str | None = None


@dataclass(frozen=True)
class LineRow:
    """A job that waits. `reason` is what it was told last, None: nothing yet. `left_gpu_seconds` is the p50 need.

    `priority` is its own, by ops; None: its queue's.
    """

    id: str
    name: str | None
    customer_id: str
    contract_id: str
    queue: str
    priority: int | None
    gpus: int
    sku: str | None
    left_gpu_seconds: int
    reason: dict[str, Any] | None
    expected_start: datetime | None
    latest_start: datetime | None
    is_expedited: bool
    created_at: datetime

    @property
    def position(self) -> int | None:
        return None if self.reason is None else self.reason.get("position")


@dataclass(frozen=True)
class LinePage:
    rows: Sequence[LineRow]
    total: int


COLUMNS = (
    Job.id,
    Job.name,
    Job.customer_id,
    Job.contract_id,
    Job.queue,
    Job.priority,
    Job.gpus,
    Job.gpu_types[0]["sku"].as_string(),
    cast(LEFT_SECONDS, BigInteger),
    Job.pending_reason,
    Job.expected_start,
    Job.latest_start,
    Job.expedited_at.is_not(None),
    Job.created_at,
)


async def read_line_page(
    work: Work, wanted: LineFilter, *, limit: int, offset: int = 0, total: int | None = None
) -> LinePage:
    """Read a page of those that are wanted, and count them all, unless `total` tells how many there are."""
    condition = _match(wanted)
    if total is None:
        total = await work.session.scalar(select(func.count()).select_from(Job).where(condition))
    if not total:  # a long line is not looked through for nobody
        return LinePage([], 0)
    query = select(*COLUMNS).where(condition).order_by(*IN_ORDER).limit(_write(limit)).offset(_write(offset))
    return LinePage([LineRow(*row) for row in await work.session.execute(query)], total)


async def list_ahead(work: Work, job: Job, *, limit: int) -> list[LineRow]:
    """List those right ahead of a waiting job, in the order of the line: of those whom the caller may see, the nearest.

    A job that was told no place yet stands behind all that were, and behind those that came before it.
    """
    place = (job.pending_reason or {}).get("position")
    if place is None:
        own = tuple_(literal(job.created_at, Job.created_at.type), literal(job.id))
        untold = await _list_nearest(
            work, Job.pending_place.is_(None), tuple_(Job.created_at, Job.id) < own, limit=limit
        )
        told = await _list_nearest(work, Job.pending_place.is_not(None), limit=limit - len(untold))
        return [*told, *untold]
    return await _list_nearest(work, Job.pending_place < _write(place), limit=limit)


async def _list_nearest(work: Work, *conditions: ColumnElement[bool], limit: int) -> list[LineRow]:
    """List the last of those in the line of whom conditions hold, in its order."""
    if not limit:
        return []
    query = select(*COLUMNS).where(IS_WAITING, *conditions).limit(_write(limit))
    last = query.order_by(Job.pending_place.desc(), Job.created_at.desc(), Job.id.desc())
    return [LineRow(*row) for row in await work.session.execute(last)][::-1]


def _write(number: int) -> ColumnElement[int]:
    """Write a number into the statement: how few rows are wanted decides for the index."""
    return literal_column(str(int(number)), BigInteger)


def _match(wanted: LineFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [IS_WAITING]
    columns = {"queue": Job.queue, "customer_id": Job.customer_id, "contract_id": Job.contract_id}
    for name, column in columns.items():
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(column == value)
    if wanted.reason is not None:
        is_untold = wanted.reason == NOT_PLANNED
        conditions.append(Job.pending_code.is_(None) if is_untold else Job.pending_code == wanted.reason)
    if wanted.sku is not None:
        conditions.append(Job.gpu_types[0]["sku"].as_string() == wanted.sku)
    return and_(*conditions)
