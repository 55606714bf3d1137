"""What waiting jobs were told about their start, and what became of it: kept up by a sweep, in few statements.

A job that waits has one open promise: what it was told first. It slips where half of such jobs would start later than
the latest moment that the customer was told last: an event says so, and that moment moves. It is closed once the job
starts, or leaves its queue otherwise.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, and_, exists, func, insert, literal, or_, select, update

from broker.jobs.events import record_event
from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job, Run, StartPromise
from broker.work import Work

PROMISES_TURN = 7_203_120
# A start that is expected later by less is no news.
SLACK = timedelta(minutes=5)
WAITS = Job.status == JobStatus.QUEUED.value
IS_OPEN = StartPromise.closed_at.is_(None)


async def keep_start_promises(work: Work) -> int:
    """Close the promises of jobs that wait no longer, tell whose start has slipped, and open those of new ones.

    Processes take turns: a slip is told once. Returns how many have slipped.
    """
    await work.take_turn(PROMISES_TURN)
    await _close(work)
    await _date_anew(work)
    slipped = await _tell_slipped(work)
    await _open(work)
    return slipped


async def _close(work: Work) -> None:
    """Close promises: with the first run after they were given, or with none where the job left its queue."""
    mine = and_(Run.job_id == StartPromise.job_id, Run.created_at >= StartPromise.told_at)
    started = select(func.min(Run.created_at)).where(mine).scalar_subquery()
    left = exists().where(Job.id == StartPromise.job_id, ~WAITS)
    closing = update(StartPromise).where(IS_OPEN, or_(left, started.is_not(None)))
    values = {"started_at": started, "closed_at": work.now}
    await work.session.execute(closing.values(values).execution_options(synchronize_session=False))


async def _date_anew(work: Work) -> None:
    """Take as told last the date of those of whom nobody knew one for a while: from there on a start slips again."""
    dated = (Job.id == StartPromise.job_id) & WAITS & Job.expected_start.is_not(None)
    undated = update(StartPromise).where(IS_OPEN, StartPromise.latest.is_(None), dated)
    latest = func.greatest(Job.expected_start, Job.latest_start)
    await work.session.execute(undated.values(latest=latest).execution_options(synchronize_session=False))


async def _tell_slipped(work: Work) -> int:
    """Tell the customers whose jobs are expected to start later than they were told last; returns how many."""
    query = select(StartPromise, Job).join(Job, Job.id == StartPromise.job_id)
    query = query.where(IS_OPEN, WAITS, _has_slipped(work.now)).order_by(StartPromise.id)
    found = (await work.session.execute(query)).all()
    for promise, job in found:
        told = promise.latest
        promise.latest = find_latest(job.expected_start, job.latest_start)
        promise.slips += 1
        facts = {"told": told, "expected_start": job.expected_start, "latest_start": promise.latest}
        record_event(work, job, "start_slipped", {name: _write(moment) for name, moment in facts.items()})
    await work.session.flush()
    return len(found)


def _has_slipped(now: datetime) -> ColumnElement[bool]:
    """Select those whose start is expected too late; or is over by now, and nobody knows when it will be."""
    is_later = Job.expected_start > StartPromise.latest + SLACK
    return or_(is_later, and_(Job.expected_start.is_(None), StartPromise.latest < now))


async def _open(work: Work) -> None:
    """Give a promise to each waiting job that has been told when it will start and has none."""
    latest = func.greatest(Job.expected_start, Job.latest_start)
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
    ).where(WAITS, Job.expected_start.is_not(None), ~exists().where(IS_OPEN, StartPromise.job_id == Job.id))
    columns = ["customer_id", "job_id", "queue", "gpus", "told_at", "p50", "p90", "latest", "slips"]
    await work.session.execute(insert(StartPromise).from_select(columns, told))


def find_latest(expected: datetime | None, latest: datetime | None) -> datetime | None:
    """Find the latest moment of a start that is expected; None where nobody knows. Pure."""
    return expected if latest is None or expected is None else max(expected, latest)


def _write(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
