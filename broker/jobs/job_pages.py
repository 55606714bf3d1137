"""Writes pages of the list of jobs as JSON: a job is written once, and anew when its row has changed.

A first message asks for the ids of a page and the version of each row, which is PostgreSQL's own `xmin`: the
transaction that wrote it. What was written of a row is true for as long as that is the same, but for when its job is
expected to end: that moves with the time of day, and is put in each time. Rows that are not known as they are now are
read whole, in a second message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import ARRAY, Select, Text, any_, bindparam, cast, inspect, literal_column, select, union_all

from broker.http.caller import Caller
from broker.jobs.reading.expected_end import ExpectedCourse, expect_course
from broker.jobs.rules.model import JobStatus
from broker.jobs.schemas import ExpectedEndOut, JobOut
from broker.jobs.tables import Job
from broker.persistence.documents import explain_unreadable
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.persistence.tenancy import ASKING, owns

# Each is a statement of its own, which a connection prepares: so there are few, and what is beyond `limit` is cut off.
SIZES = (20, 100)
# What is longer, for its configuration, is written each time: it would take the room of many others.
LONGEST_KEPT = 16_384
FIELDS = list(JobOut.model_fields)
END_NAME, AFTER_END = '"expected_end":', f',"{FIELDS[FIELDS.index("expected_end") + 1]}":'
# Nothing within a job is written so: PostgreSQL puts the shorter of two names first, and quotes in texts are escaped.
NO_END = f"{END_NAME}null{AFTER_END}"
JOBS, JOB_COLUMNS = RowFormat(Job), inspect(Job).local_table.c
VERSION = cast(literal_column("jobs.xmin"), Text)
WHOLE = Statement(
    select(VERSION, *(JOB_COLUMNS[name] for name in JOBS.names)).where(
        owns(Job.customer_id), Job.id == any_(bindparam("job_ids", type_=ARRAY(Text)))
    )
)


@dataclass(frozen=True)
class PageWanted:
    """Which page: after the job `cursor` names, of those with these values in their columns; None: with any."""

    values: Mapping[str, str | None]
    limit: int
    cursor: str | None
    oldest_first: bool

    def find_versions(self, seen_by: str | None) -> Command | None:
        """Make the command that finds the ids and versions of the page and, where there is one, of the next job.

        None: a customer asks for another's.
        """
        known = {name: value for name, value in self.values.items() if value is not None}
        if seen_by is not None and known.setdefault("customer_id", seen_by) != seen_by:
            return None
        size = next(size for size in SIZES if size >= self.limit)
        statement = _select_versions(tuple(sorted(known)), size, self.cursor is not None, self.oldest_first)
        return Command(statement, known if self.cursor is None else {**known, "after": self.cursor})


@dataclass(frozen=True)
class WrittenJob:
    """A job as its shape writes it: what stands before and after its expected end, of which the course is known."""

    before: bytes
    after: bytes
    course: ExpectedCourse | None

    @classmethod
    def of(cls, job: Job, now: datetime) -> "WrittenJob":
        shown = JobOut.of(job, now)
        shown.expected_end = None
        before, after = shown.model_dump_json().split(NO_END)
        course = None if explain_unreadable(job.estimate) else expect_course(job)
        return cls(f"{before}{END_NAME}".encode(), f"{AFTER_END}{after}".encode(), course)

    def write(self, now: datetime) -> bytes:
        if self.course is None:
            return b"%snull%s" % (self.before, self.after)
        end = self.course.find_end(now)
        written = ExpectedEndOut.model_construct(p50=end.p50, p90=end.p90).model_dump_json().encode()
        return self.before + written + self.after


@lru_cache(maxsize=256)
def _select_versions(names: tuple[str, ...], size: int, has_cursor: bool, oldest_first: bool) -> Statement:
    """Select a page of the jobs whose columns have values that are told by name.

    Of one customer each status is a part by itself, read off the index in order, unless one alone is wanted: by the
    order of all ids, one who has few jobs among many others' would wait until those were passed over.
    """
    conditions = [JOB_COLUMNS[name] == bindparam(name) for name in names]
    if has_cursor:
        conditions.append(Job.id > bindparam("after") if oldest_first else Job.id < bindparam("after"))
    parts = [select(Job.id).where(*conditions)]
    if "customer_id" in names and "status" not in names:
        parts = [parts[0].where(Job.status == literal_column(f"'{status.value}'")) for status in JobStatus]
    pages = [_cut(part, Job.id, size, oldest_first).subquery() for part in parts]
    ids = union_all(*(select(page.c.id) for page in pages)).subquery()
    page = _cut(select(ids.c.id), ids.c.id, size, oldest_first).subquery()
    of_page = select(Job.id, VERSION).join(page, page.c.id == Job.id)
    return Statement(of_page.order_by(Job.id.asc() if oldest_first else Job.id.desc()))


def _cut(query: Select[str], key: Any, size: int, oldest_first: bool) -> Select[str]:
    return query.order_by(key.asc() if oldest_first else key.desc()).limit(literal_column(str(size + 1)))


async def write_page(caller: Caller, wanted: PageWanted) -> bytes | None:
    """Write a page as `Page[JobOut]` does; None where that has to be found out another way.

    So it is where there is no job, which may be an error; where somebody is confined to some projects; and where a job
    changes between the two messages.

    Raises: Unauthenticated, Busy, TooManyAtOnce.
    """
    command = None if caller.actor.projects is not None else wanted.find_versions(caller.actor.confined_to)
    if command is None:
        return None
    (found,) = await caller.read([command])
    if not found or (wanted.cursor is not None and _kind(wanted.cursor) != _kind(found[0][0])):
        return None
    page = found[: wanted.limit]
    now = caller.services.clock()
    jobs = await _write_jobs(caller, page, now)
    if jobs is None:
        return None
    cursor = page[-1][0] if len(found) > wanted.limit else None
    written = b",".join([job.write(now) for job in jobs])
    return b'{"data":[%s],"next_cursor":%s}' % (written, to_json(cursor))


async def _write_jobs(caller: Caller, page: Sequence[Row], now: datetime) -> list[WrittenJob] | None:
    """Write the jobs that are not known as they are; None where one has changed meanwhile."""
    kept = caller.services.written_jobs
    known = {job_id: kept.find(WrittenJob, job_id, version) for job_id, version in page}
    missing = [job_id for job_id, written in known.items() if written is None]
    if missing:
        asked = {ASKING.key: caller.actor.confined_to, "job_ids": missing}
        (rows,) = await caller.read([Command(WHOLE, asked)])
        versions: dict[str, str] = dict(page)
        for version, *values in rows:
            job = JOBS.read(tuple(values))
            if versions[job.id] != version:
                return None
            written = WrittenJob.of(job, now)
            known[job.id] = written
            if len(written.before) + len(written.after) <= LONGEST_KEPT:
                kept.keep(job.id, written, version)
    jobs = [written for written in known.values() if written is not None]
    return jobs if len(jobs) == len(page) else None


def _kind(object_id: str) -> str:
    return object_id.partition("_")[0]
