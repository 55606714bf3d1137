"""What waiting jobs were told about their start, and what became of it: kept up by a sweep, in few statements.

The sweep of the process that tells them looks at those alone that it has told another date, or that have left the line.

A job that waits has one open promise: what it was told first. It slips where half of such jobs would start later than
the latest moment that the customer was told last: an event says so, and that moment moves. It is closed once the job
starts, or leaves its queue otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Text,
    and_,
    any_,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job, JobEvent, Run, StartPromise
from broker.work import Work

PROMISES_TURN = 7_203_120
# A start that is expected later by less is no news.
SLACK = timedelta(minutes=5)
WAITS = Job.status == JobStatus.QUEUED.value
IS_OPEN = StartPromise.closed_at.is_(None)
# The latest moment of a start that is expected; null where nobody knows.
LATEST = case((Job.expected_start.is_not(None), func.greatest(Job.expected_start, Job.latest_start))).label("latest")


async def keep_start_promises(work: Work, job_ids: Collection[str] | None = None) -> int:
    """Close the promises of jobs that wait no longer, tell whose start has slipped, and open those of new ones.

    `job_ids`: those that left the line, or were told another date, since the last time; None: whoever it may be.
    Processes take turns: a slip is told once. Returns how many have slipped.
    """
    await work.take_turn(PROMISES_TURN)
    concerned = Concerned(job_ids)
    await _close(work, concerned)
    await _date_anew(work, concerned)
    slipped = await _tell_slipped(work, concerned)
    await _open(work, concerned)
    return slipped


@dataclass(frozen=True)
class Concerned:
    """The jobs whose promises may have changed; None: those of all."""

    job_ids: Collection[str] | None

    def has(self, job_id: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
        """Make the condition that a job is one of them."""
        return true() if self.job_ids is None else job_id == any_(literal(list(self.job_ids), ARRAY(Text)))


async def _close(work: Work, concerned: Concerned) -> None:
    """Close promises: with the first run after they were given, or with none where the job left its queue."""
    mine = and_(Run.job_id == StartPromise.job_id, Run.created_at >= StartPromise.told_at)
    started = select(func.min(Run.created_at)).where(mine).scalar_subquery()
    left = exists().where(Job.id == StartPromise.job_id, ~WAITS)
    closing = update(StartPromise).where(IS_OPEN, concerned.has(StartPromise.job_id), or_(left, started.is_not(None)))
    values = {"started_at": started, "closed_at": work.now}
    await work.session.execute(closing.values(values).execution_options(synchronize_session=False))


async def _date_anew(work: Work, concerned: Concerned) -> None:
    """Take as told last the date of those of whom nobody knew one for a while: from there on a start slips again."""
    dated = (Job.id == StartPromise.job_id) & WAITS & Job.expected_start.is_not(None)
    is_undated = (IS_OPEN, concerned.has(StartPromise.job_id), StartPromise.latest.is_(None))
    undated = update(StartPromise).where(*is_undated, dated)
    latest = func.greatest(Job.expected_start, Job.latest_start)
    await work.session.execute(undated.values(latest=latest).execution_options(synchronize_session=False))


async def _tell_slipped(work: Work, concerned: Concerned) -> int:
    """Tell the customers whose jobs are expected to start later than they were told last; returns how many.

    That of those whose date is over, and who have none any more, is told by the clock alone. Where a pool goes away
    they may be all that wait: they are told in one statement.
    """
    is_later = and_(concerned.has(StartPromise.job_id), Job.expected_start > StartPromise.latest + SLACK)
    is_over = and_(StartPromise.latest < work.now, Job.expected_start.is_(None))
    return await _tell_those(work, is_later) + await _tell_those(work, is_over)


async def _tell_those(work: Work, has_slipped: ColumnElement[bool]) -> int:
    before = select(StartPromise.id, StartPromise.latest.label("told"), Job.customer_id, Job.expected_start, LATEST)
    before = before.add_columns(Job.id.label("job_id")).join(Job, Job.id == StartPromise.job_id)
    slipped = before.where(IS_OPEN, WAITS, has_slipped).cte("slipped")
    moving = update(StartPromise).where(StartPromise.id == slipped.c.id)
    moved = moving.values(latest=slipped.c.latest, slips=StartPromise.slips + 1).returning(StartPromise.id).cte("moved")
    facts = {"told": slipped.c.told, "expected_start": slipped.c.expected_start, "latest_start": slipped.c.latest}
    data = func.jsonb_build_object(*(part for name, value in facts.items() for part in (literal(name), value)))
    now = literal(work.now, DateTime(timezone=True))
    events = select(slipped.c.customer_id, slipped.c.job_id, literal("start_slipped"), data, now)
    events = events.join(moved, moved.c.id == slipped.c.id).order_by(slipped.c.id)
    told = insert(JobEvent).from_select(["customer_id", "job_id", "kind", "data", "created_at"], events)
    return len((await work.session.execute(told.returning(JobEvent.id))).all())


async def _open(work: Work, concerned: Concerned) -> None:
    """Give a promise to each waiting job that has been told when it will start and has none."""
    latest = func.greatest(Job.expected_start, Job.latest_start)
    has_none = ~exists().where(IS_OPEN, StartPromise.job_id == Job.id)
    told = select(
        Job.customer_id,
        Job.id,
        Job.queue,
        Job.gpus,
        literal(work.now, DateTime(timezone=True)),
        Job.expected_start,
        latest,
        latest,
        literal(0),
    ).where(WAITS, concerned.has(Job.id), Job.expected_start.is_not(None), has_none)
    columns = ["customer_id", "job_id", "queue", "gpus", "told_at", "p50", "p90", "latest", "slips"]
    await work.session.execute(insert(StartPromise).from_select(columns, told))
