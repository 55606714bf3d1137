"""A customer's jobs as a list for people: found, sorted and paged by PostgreSQL, with counts by status beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, func, literal, select, union_all

from broker.jobs.rules.model import TERMINAL, JobStatus
from broker.jobs.tables import Job, JobNote
from broker.work import Work

PAGE = 50
MOST_OFFSET = 100_000


class JobOrder(StrEnum):
    """In which order jobs are listed."""

    NEWEST = "newest"
    OLDEST = "oldest"
    COST = "cost"
    PINNED = "pinned"


@dataclass(frozen=True)
class JobSearch:
    """Which jobs are wanted: with these words in their name or notes, or at the beginning of their id; None: all."""

    words: str | None = None
    status: JobStatus | None = None
    project_id: str | None = None
    order: JobOrder = JobOrder.NEWEST
    page: int = 1
    page_size: int = PAGE

    @property
    def is_narrowed(self) -> bool:
        return bool(self.words or self.status or self.project_id)


@dataclass(frozen=True)
class JobLine:
    """A job as a line of a list. Units: micro-yuan, GPU-seconds."""

    id: str
    name: str | None
    status: JobStatus
    stop_requested: str | None
    pause_reason: str | None
    pending_reason: Mapping[str, Any] | None
    expected_start: datetime | None
    base_model: str | None
    progress: Mapping[str, Any] | None
    cost_micros: int
    limit_micros: int | None
    used_gpu_seconds: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    adapter_id: str | None
    error: Mapping[str, Any] | None
    is_pinned: bool
    notes: str | None


@dataclass(frozen=True)
class JobList:
    """One page of jobs. `total` counts all that are wanted, `counts` by status all that would be without a status."""

    lines: Sequence[JobLine]
    counts: Mapping[JobStatus, int]
    search: JobSearch

    @property
    def total(self) -> int:
        wanted = self.search.status
        return self.counts.get(wanted, 0) if wanted is not None else sum(self.counts.values())

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.search.page_size))


COLUMNS = (
    Job.id,
    Job.name,
    Job.status,
    Job.stop_requested,
    Job.pause_reason,
    Job.pending_reason,
    Job.expected_start,
    Job.config["base_model"].astext,
    Job.progress,
    Job.cost_micros,
    Job.limit_micros,
    Job.used_gpu_seconds,
    Job.created_at,
    Job.started_at,
    Job.finished_at,
    Job.adapter_id,
    Job.error,
    JobNote.pinned_at.is_not(None),
    JobNote.notes,
)
LINES = select(*COLUMNS).outerjoin(JobNote, JobNote.job_id == Job.id)


async def list_jobs(work: Work, customer_id: str, search: JobSearch) -> JobList:
    """List one page of a customer's jobs, in two statements, however many there are; where there is none, in one."""
    counts = await count_by_status(work, customer_id, search)
    if not JobList([], counts, search).total:
        return JobList([], counts, search)
    ids = _select_ids(customer_id, search).subquery()
    query = _in_order(LINES.join(ids, ids.c.id == Job.id), search.order)
    return JobList([_to_line(*row) for row in await work.session.execute(query)], counts, search)


async def list_chosen(work: Work, customer_id: str, job_ids: Sequence[str]) -> list[JobLine]:
    """List those of some jobs that are the customer's, the newest first."""
    query = LINES.where(Job.id.in_(job_ids), Job.customer_id == customer_id)
    return [_to_line(*row) for row in await work.session.execute(_in_order(query, JobOrder.NEWEST))]


async def list_needing(work: Work, customer_id: str, *, since: datetime, most: int = 10) -> list[JobLine]:
    """List the jobs that wait for their customer: those paused by a limit, and those that failed lately."""
    paused = _of_status(customer_id, JobStatus.PAUSED).where(Job.pause_reason != "pause")
    failed = _of_status(customer_id, JobStatus.FAILED).where(Job.finished_at > since)
    parts = [each.order_by(Job.id.desc()).limit(most).subquery() for each in (paused, failed)]
    ids = union_all(*(select(part.c.id) for part in parts)).subquery()
    query = LINES.join(ids, ids.c.id == Job.id).order_by(Job.id.desc()).limit(most)
    return [_to_line(*row) for row in await work.session.execute(query)]


async def list_active(work: Work, customer_id: str, *, most: int = 10) -> list[JobLine]:
    """List the jobs that hold devices, the newest first, then those that wait."""
    found: list[JobLine] = []
    for status in (JobStatus.RUNNING, JobStatus.DISPATCHED, JobStatus.QUEUED):
        ids = _select_ids(customer_id, JobSearch(status=status, page_size=most)).subquery()
        query = _in_order(LINES.join(ids, ids.c.id == Job.id), JobOrder.NEWEST)
        found += [_to_line(*row) for row in await work.session.execute(query)]
    return found[:most]


async def count_by_status(work: Work, customer_id: str, search: JobSearch = JobSearch()) -> dict[JobStatus, int]:
    """Count a customer's jobs by status, narrowed by all that is wanted but a status."""
    wanted = (Job.customer_id == customer_id, *_list_conditions(search))
    query = select(Job.status, func.count()).where(*wanted).group_by(Job.status)
    return {JobStatus(status): number for status, number in await work.session.execute(query)}


def _of_status(customer_id: str, status: JobStatus) -> Select[Any]:
    return select(Job.id).where(Job.customer_id == customer_id, Job.status == status.value)


def _select_ids(customer_id: str, search: JobSearch) -> Select[Any]:
    """Select the ids of one page: each status by itself, as the index has them, and the first of all of these.

    Where pinned ones come first, they are a part of their own: there are few, found off their notes.
    """
    offset = min(MOST_OFFSET, (search.page - 1) * search.page_size)
    wanted = [search.status] if search.status is not None else list(JobStatus)
    others = [Job.id.not_in(_select_pins(customer_id))] if search.order == JobOrder.PINNED else []
    parts = [
        select(Job.id.label("id"), _find_rank(status, search.order).label("rank"))
        .where(Job.customer_id == customer_id, Job.status == status.value, *others, *_list_conditions(search))
        .order_by(*_find_keys(search.order, Job.id, _find_rank(status, search.order)))
        .limit(offset + search.page_size)
        .subquery()
        for status in wanted
    ]
    if search.order == JobOrder.PINNED:
        parts.append(_of_pins(customer_id, search, wanted))
    ids = union_all(*(select(part.c.id, part.c.rank) for part in parts)).subquery()
    first = select(ids.c.id).order_by(*_find_keys(search.order, ids.c.id, ids.c.rank))
    return first.limit(search.page_size).offset(offset)


def _select_pins(customer_id: str) -> Select[Any]:
    return select(JobNote.job_id).where(JobNote.customer_id == customer_id, JobNote.pinned_at.is_not(None))


def _of_pins(customer_id: str, search: JobSearch, wanted: Sequence[JobStatus]) -> Subquery:
    own = (Job.customer_id == customer_id, Job.status.in_([status.value for status in wanted]))
    query = select(Job.id.label("id"), literal(1).label("rank")).where(Job.id.in_(_select_pins(customer_id)), *own)
    return query.where(*_list_conditions(search)).subquery()


def _find_rank(status: JobStatus, order: JobOrder) -> ColumnElement[Any]:
    """Find what jobs in a status are put in order by before their id: their cost, or that they are pinned.

    Of those that have ended the cost stands in the index.
    """
    if order == JobOrder.PINNED:
        return literal(0)
    return Job.ended_cost_micros.expression if status in TERMINAL else Job.cost_micros.expression


def _find_keys(
    order: JobOrder, job_id: ColumnElement[Any] | Any, rank: ColumnElement[Any] | Any
) -> list[ColumnElement[Any]]:
    if order in {JobOrder.COST, JobOrder.PINNED}:
        return [rank.desc(), job_id.desc()]
    return [job_id.asc() if order == JobOrder.OLDEST else job_id.desc()]


def _list_conditions(search: JobSearch) -> list[ColumnElement[bool]]:
    """List the conditions of what is wanted, but for the status."""
    conditions: list[ColumnElement[bool]] = []
    if search.project_id:
        conditions.append(Job.project_id == search.project_id)
    if search.words:
        named = Job.name.icontains(search.words, autoescape=True)
        noted = select(JobNote.job_id).where(JobNote.notes.icontains(search.words, autoescape=True))
        conditions.append(named | Job.id.startswith(search.words, autoescape=True) | Job.id.in_(noted))
    return conditions


def _in_order(query: Select[Any], order: JobOrder) -> Select[Any]:
    rank = JobNote.pinned_at.is_not(None) if order == JobOrder.PINNED else Job.cost_micros
    return query.order_by(*_find_keys(order, Job.id, rank))


def _to_line(job_id: str, name: str | None, status: str, *rest: Any) -> JobLine:
    return JobLine(job_id, name, JobStatus(status), *rest)
