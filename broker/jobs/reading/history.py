"""What finished jobs really took, beside what was estimated: what the estimator learns from and is judged by."""

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, select

from broker.jobs.rules.model import JobStatus, StopReason
from broker.jobs.tables import Job, JobEvent, Run
from broker.persistence.documents import explain_unreadable, json_integer
from broker.quotes.estimating.estimate import JobEstimate
from broker.work import Work
from pricing.calibration.calibration import APART

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedJob:
    """A job that is over. `estimate` is the one that it was admitted with; GPU-seconds are those of all its GPUs.

    `has_ended` is false for one that would have gone on beyond its quote.
    """

    id: str
    estimate: JobEstimate
    gpu_seconds: int
    gpus: int
    finished_at: datetime
    has_ended: bool


@dataclass(frozen=True)
class JudgedState:
    """What there is to judge, in short: where it has changed since, there is something new to judge."""

    jobs: int
    latest_at: datetime | None


@dataclass(frozen=True)
class EndNews:
    """What happened to jobs since an event: the latest event, and whether what there is to judge may have changed."""

    latest_event: int
    has_ends: bool


# When a job was first told to stop at its limit; null for one that never was.
STOPPED_AT = (
    select(func.min(JobEvent.created_at))
    .where(
        JobEvent.job_id == Job.id,
        JobEvent.kind == "stop_requested",
        JobEvent.data["reason"].as_string() == StopReason.LIMIT.value,
    )
    .scalar_subquery()
)
# A job that ran on several GPU types has used seconds of each: its estimate is of the last alone. One that ran on
# devices which only pretend to be of their type says nothing of that type.
RAN_ON_ITS_TYPE = ~exists().where(
    Run.job_id == Job.id, or_(Run.pretends, Run.gpu_type != Job.estimate["sku"].as_string())
)
# Found by their runs: thousands of jobs that only wait would be looked through with every sweep, as wide as they are.
HAS_RUN = and_(Job.used_gpu_seconds > 0, Job.id.in_(select(Run.job_id)))
# Labelling and checking are other work than training: they teach apart. An estimate that cannot be read has no kind: it
# stays, to be told.
IS_APART = func.coalesce(Job.estimate["kind"]["family"].as_string(), "").in_(sorted(APART))
IS_TRAINING = not_(IS_APART)
OVER_AT = func.coalesce(Job.finished_at, STOPPED_AT)


async def list_finished_jobs(work: Work, *, latest: int) -> list[FinishedJob]:
    """List the jobs to learn from: the latest of all customers, in the order in which they were over.

    A job that was stopped at its quote counts by what it has used, which is the least that it takes: without those the
    estimator would never learn from slow jobs, and every p90 would be narrower than the one before.
    """
    return await _list_latest(work, and_(_teaches(), IS_TRAINING), latest)


async def list_finished_apart(work: Work, *, latest: int) -> list[FinishedJob]:
    """List the labellings and checks to learn from, as `list_finished_jobs` does trainings."""
    return await _list_latest(work, and_(_teaches(), IS_APART), latest)


async def list_judged_jobs(work: Work, *, latest: int) -> list[FinishedJob]:
    """List the jobs whose estimate can be judged: the latest of all customers, in the order in which they were over."""
    return await _list_latest(work, _is_judged(), latest)


async def _list_latest(work: Work, condition: ColumnElement[bool], latest: int) -> list[FinishedJob]:
    has_ended = Job.status == JobStatus.SUCCEEDED.value
    columns = (Job.id, Job.estimate, Job.used_gpu_seconds, Job.gpus, OVER_AT, has_ended)
    query = select(*columns).where(condition).order_by(OVER_AT.desc(), Job.id.desc()).limit(latest)
    found = [FinishedJob(*row) for row in await work.session.execute(query)]
    return [job for job in found[::-1] if _is_readable(job)]


def _is_readable(job: FinishedJob) -> bool:
    fault = explain_unreadable(job.estimate)
    if fault is not None:
        log.error("job %s is left out of what is learnt and judged: its estimate cannot be read: %s", job.id, fault)
    return fault is None


async def count_finished_jobs(work: Work) -> int:
    """Count the jobs to learn from, of whatever kind."""
    return await work.session.scalar(select(func.count()).select_from(Job).where(_teaches())) or 0


async def read_news(work: Work, since: int) -> EndNews:
    """Read whether a run has ended or was told to stop, among the events of jobs after one; it reads no others."""
    may_change = or_(JobEvent.kind.startswith("run_"), JobEvent.kind == "stop_requested")
    query = select(func.max(JobEvent.id), func.coalesce(func.bool_or(may_change), False)).where(JobEvent.id > since)
    latest, has_ends = (await work.session.execute(query)).one()
    return EndNews(latest or since, has_ends)


async def read_judged_state(work: Work) -> JudgedState:
    row = (await work.session.execute(select(func.count(), func.max(OVER_AT)).where(_is_judged()))).one()
    return JudgedState(*row)


def _is_judged() -> ColumnElement[bool]:
    """Select jobs that succeeded, in however many attempts on one GPU type, and those stopped at their quote at p90.

    Without the latter, slow jobs that nobody resumed would be left out (decision 0006).
    """
    return and_(
        HAS_RUN, or_(Job.status == JobStatus.SUCCEEDED.value, _was_stopped_at_its_quote()), RAN_ON_ITS_TYPE, IS_TRAINING
    )


def _teaches() -> ColumnElement[bool]:
    """Select jobs whose time compares with their estimate: not those where a lost attempt's steps were done twice."""
    ran_through = and_(Job.status == JobStatus.SUCCEEDED.value, Job.attempts == 1)
    return and_(HAS_RUN, or_(ran_through, _was_stopped_at_its_quote()), RAN_ON_ITS_TYPE)


def _was_stopped_at_its_quote() -> ColumnElement[bool]:
    reached_quote = Job.used_gpu_seconds >= json_integer(Job.estimate["gpu_seconds"]["p90"])
    return and_(reached_quote, STOPPED_AT.is_not(None))
