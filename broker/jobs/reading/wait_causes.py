"""For what a job waited until it started, and how long for each: kept as its reasons change, added up from that.

A row says until when a job waited for a cause; it waited for it since the row before, or since it came. The cause that
it waited for last is with the event of its start. What no row tells is unaccounted, and said so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, DateTime, Text, bindparam, column, delete, func, insert, select

from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job, JobEvent, WaitCause
from broker.persistence.driver import Command, Statement
from broker.work import Work

UNACCOUNTED, PAUSED = "unaccounted", "paused"
TO_START = [JobStatus.QUEUED.value, JobStatus.PAUSED.value]
ENDED = (
    func.unnest(bindparam("job_ids", type_=ARRAY(Text)), bindparam("codes", type_=ARRAY(Text)))
    .table_valued(column("job_id", Text), column("code", Text), name="ended")
    .render_derived()
)
NOTE_ENDED = Statement(
    insert(WaitCause).from_select(
        ["customer_id", "job_id", "code", "ended_at"],
        select(Job.customer_id, Job.id, ENDED.c.code, bindparam("ended_at", type_=DateTime(timezone=True))).join(
            ENDED, ENDED.c.job_id == Job.id
        ),
    )
)


@dataclass(frozen=True)
class Segment:
    """A time for which a job waited for one cause: a reason's code, `paused`, or `unaccounted`."""

    cause: str
    began_at: datetime
    ended_at: datetime

    @property
    def seconds(self) -> int:
        return round((self.ended_at - self.began_at) / timedelta(seconds=1))


async def note_ended(work: Work, ended: Mapping[str, str]) -> None:
    """Note for which cause jobs have waited until now, by job: they wait for another one from here on."""
    if ended:
        told = {"job_ids": list(ended), "codes": list(ended.values()), "ended_at": work.now}
        await work.run_together([Command(NOTE_ENDED, told)])


@dataclass(frozen=True)
class Forgotten:
    """How many causes were forgotten of those that were looked at, and the last of these; None: there are no more."""

    count: int
    last_id: int | None


async def forget_wait_causes(work: Work, *, before: datetime, limit: int, after: int = 0) -> Forgotten:
    """Forget causes of before a moment, of jobs that neither wait nor pause any more.

    So many are looked at, behind the one that is numbered `after`: their numbers are in the order in which they were
    noted, so that whoever goes on behind the last meets each old one once, however many of them are kept.
    """
    behind = select(WaitCause.id, WaitCause.job_id, WaitCause.ended_at).where(WaitCause.id > after)
    looked_at = behind.order_by(WaitCause.id).limit(limit).subquery()
    is_to_start = select(Job.id).where(Job.id == looked_at.c.job_id, Job.status.in_(TO_START)).exists()
    query = select(looked_at.c.id, looked_at.c.ended_at < before, is_to_start).order_by(looked_at.c.id)
    old = [(row_id, is_kept) for row_id, is_old, is_kept in await work.session.execute(query) if is_old]
    gone = [row_id for row_id, is_kept in old if not is_kept]
    await work.session.execute(delete(WaitCause).where(WaitCause.id.in_(gone)))
    return Forgotten(len(gone), old[-1][0] if len(old) == limit else None)


async def read_wait(work: Work, job: Job) -> list[Segment]:
    """Read for what a job has waited until its first start, or until now; nothing of one that never waited."""
    rows = select(WaitCause.code, WaitCause.ended_at).where(WaitCause.job_id == job.id).order_by(WaitCause.id)
    causes = [(code, ended_at) for code, ended_at in await work.session.execute(rows)]
    kinds = ("dispatched", "paused", "resumed")
    query = select(JobEvent.kind, JobEvent.data, JobEvent.created_at).where(JobEvent.job_id == job.id)
    events = (await work.session.execute(query.where(JobEvent.kind.in_(kinds)).order_by(JobEvent.id))).all()
    start = next(((data, at) for kind, data, at in events if kind == "dispatched"), None)
    end, last = (work.now, _tell_now(job)) if start is None else (start[1], start[0].get("waited_for"))
    if start is None and job.status != JobStatus.QUEUED and job.finished_at is not None:
        end = job.finished_at
    pauses = [(kind, at) for kind, _data, at in events if kind != "dispatched"]
    return split_wait(job.created_at, end, causes, last, pair_pauses(pauses, end))


def _tell_now(job: Job) -> str | None:
    return None if job.pending_reason is None else job.pending_reason.get("code")


def pair_pauses(events: Iterable[tuple[str, datetime]], end: datetime) -> list[tuple[datetime, datetime]]:
    """Pair the moments at which a job was paused and resumed until `end`. Pure."""
    pauses: list[tuple[datetime, datetime]] = []
    since: datetime | None = None
    for kind, at in events:
        if kind == "paused" and since is None and at < end:
            since = at
        elif kind == "resumed" and since is not None:
            pauses.append((since, min(at, end)))
            since = None
    return pauses if since is None else [*pauses, (since, end)]


def split_wait(
    begin: datetime,
    end: datetime,
    causes: Sequence[tuple[str, datetime]],
    last: str | None,
    pauses: Sequence[tuple[datetime, datetime]] = (),
) -> list[Segment]:
    """Split a wait by its causes, each with the moment at which it ended; `last` is that of the rest. Pure.

    The segments follow each other without a gap, so that they add up to the wait; a pause goes before every cause.
    """
    told = [(code, at) for code, at in causes if begin < at < end]
    told.append((last or UNACCOUNTED, end))
    segments, since = [], begin
    for code, at in told:
        segments += _cut_out(Segment(code, since, at), pauses)
        since = max(since, at)
    return [segment for segment in segments if segment.ended_at > segment.began_at]


def _cut_out(segment: Segment, pauses: Sequence[tuple[datetime, datetime]]) -> list[Segment]:
    parts, since = [], segment.began_at
    for begin, end in pauses:
        first, last = max(begin, since), min(end, segment.ended_at)
        if first < last:
            parts += [Segment(segment.cause, since, first), Segment(PAUSED, first, last)]
            since = last
    return [*parts, Segment(segment.cause, since, segment.ended_at)]


def add_up_causes(segments: Iterable[Segment]) -> dict[str, int]:
    """Add up the seconds of each cause, those of the longest first, what is unaccounted last. Pure."""
    by_cause: dict[str, int] = {}
    for each in segments:
        by_cause[each.cause] = by_cause.get(each.cause, 0) + each.seconds
    ranked = sorted(by_cause.items(), key=lambda told: (told[0] == UNACCOUNTED, -told[1], told[0]))
    return dict(ranked)
