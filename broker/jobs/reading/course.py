"""What a job's page tells of its course: where the time to its start went, its samples, and its events as a log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import String, cast, select

from broker.jobs.rules.time_to_start import Moment, TimeToStart, compute_time_to_start
from broker.jobs.tables import Job, JobEvent
from broker.work import Work

MOST_SAMPLES = 64
MOST_EARLY = 200
LOG_PAGE = 100


async def read_time_to_start(work: Work, job: Job) -> TimeToStart:
    """Read where the time to a job's start went: of one that was started very often, by its first events."""
    status = JobEvent.data["job_status"].astext
    query = select(JobEvent.kind, JobEvent.created_at, status).where(JobEvent.job_id == job.id)
    told = query.where(
        JobEvent.kind.in_(("submitted", "dispatched", "started", "paused", "resumed", "cancelled"))
        | JobEvent.kind.startswith("run_", autoescape=True)
    )
    rows = await work.session.execute(told.order_by(JobEvent.id).limit(MOST_EARLY))
    return compute_time_to_start(job.created_at, [Moment(*row) for row in rows], work.now)


@dataclass(frozen=True)
class SampleAt:
    """What the adapter made of a prompt after a step: a text, or a small picture as a data URI."""

    event_id: int
    step: int
    prompt: str
    text: str | None
    image: str | None


async def list_samples(
    work: Work, job_id: str, *, most: int = MOST_SAMPLES, pinned: Collection[int] = ()
) -> list[SampleAt]:
    """List the newest samples of a job, and those of steps that are pinned, however old; the earliest first."""
    query = select(JobEvent.id, JobEvent.data).where(JobEvent.job_id == job_id, JobEvent.kind == "sampled")
    newest = query.order_by(JobEvent.id.desc())
    rows = {row.id: row for row in await work.session.execute(newest.limit(most))}
    missing = set(pinned) - {row.data["step"] for row in rows.values()}
    if missing:
        older = newest.where(JobEvent.data["step"].astext.in_({str(step) for step in missing}))
        rows |= {row.id: row for row in await work.session.execute(older.limit(most))}
    return [
        SampleAt(event_id, data["step"], data["prompt"], data.get("text"), data.get("image"))
        for event_id, data in (rows[each] for each in sorted(rows))
    ]


@dataclass(frozen=True)
class LoggedEvent:
    """An event of a job as a line of its log."""

    id: int
    kind: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class LogPage:
    """Lines of a log, the newest first; `older` is where to go on, None on the last page."""

    lines: Sequence[LoggedEvent]
    older: int | None


async def read_log(
    work: Work, job_id: str, *, words: str | None = None, before: int | None = None, limit: int = LOG_PAGE
) -> LogPage:
    """Read the events of a job, newest first: those with an id below `before`, with these words in what they tell.

    Pictures are left out of samples: they have a strip of their own.
    """
    told = JobEvent.data.op("-")("image")
    query = select(JobEvent.id, JobEvent.kind, told, JobEvent.created_at).where(JobEvent.job_id == job_id)
    if before is not None:
        query = query.where(JobEvent.id < before)
    if words:
        text = cast(told, String)
        query = query.where(
            JobEvent.kind.icontains(words.replace(" ", "_"), autoescape=True) | text.icontains(words, autoescape=True)
        )
    rows = [
        LoggedEvent(*row) for row in await work.session.execute(query.order_by(JobEvent.id.desc()).limit(limit + 1))
    ]
    return LogPage(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)
