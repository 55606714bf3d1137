"""The line: the jobs that wait, as the planner needs them, and what each was told last.

A hundred thousand may wait, most of them alike: all of them are read by what they share, in one statement past the
session, and what they were told apart from it. Later what has changed is read, row by row.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, cast, func, or_, select, text

from broker.jobs.reading.queueing import LEFT_GPU_SECONDS, WHOLE, WHOLE_GPU_SECONDS
from broker.jobs.rules.model import JobStatus
from broker.jobs.tables import Job
from broker.persistence.driver import Command, Row, Statement
from broker.work import Work
from pricing.estimate.type_choice import Preference, TypedRun

SET_ASIDE = "set_aside"
ANY_TYPE = ""


@dataclass(frozen=True)
class Placement:
    """The GPU types that a job may run on with what is left of it on each, which it would rather have, and its date.

    A run with the empty name is on whatever type: jobs of before. Jobs that are alike share one, which knows its hash.
    """

    runs: tuple[TypedRun, ...]
    prefer: str = Preference.CHEAPEST.value
    finish_by: datetime | None = None
    hashed: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hashed", hash((self.runs, self.prefer, self.finish_by)))

    def __hash__(self) -> int:
        return self.hashed


class BatchLimit(NamedTuple):
    """The batch of a job, of which so many jobs may run at one time."""

    id: str
    at_once: int


class QueuedJob(NamedTuple):
    """A job that waits. `fault` says what of it cannot be read, if anything.

    `expedited_at`: since when it goes first, since it lost its machine by our doing. `priority`: its own, by ops.
    `used_gpu_seconds`: what its runs have had. `is_set_aside`: so it was told last.
    """

    id: str
    contract_id: str
    queue: str
    gpus: int
    created_at: datetime
    placement: Placement
    fault: str | None = None
    batch: BatchLimit | None = None
    expedited_at: datetime | None = None
    priority: int | None = None
    used_gpu_seconds: int = 0
    is_set_aside: bool = False


class Told(NamedTuple):
    """What a waiting job was told last: why it waits, and when it is expected to start."""

    reason: dict[str, Any] | None = None
    expected_start: datetime | None = None
    latest_start: datetime | None = None


UNTOLD = Told()
# What jobs that wait may share, in the order in which `_read_alike` takes it.
SHARED = (
    Job.contract_id,
    Job.queue,
    Job.gpus,
    LEFT_GPU_SECONDS,
    WHOLE_GPU_SECONDS,
    cast(Job.gpu_types, Text),
    Job.prefer,
    Job.finish_by,
    Job.batch_id,
    Job.batch_at_once,
    Job.expedited_at,
    Job.priority,
    Job.used_gpu_seconds,
    func.coalesce(Job.pending_reason["code"].as_string() == SET_ASIDE, text("false")),
)
TOLD = (Job.pending_reason, Job.expected_start, Job.latest_start)
IS_WAITING = Job.status == JobStatus.QUEUED.value
# All transactions below this number have ended: what they changed is seen by every statement that comes later.
UNDER_WAY = Statement(text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"))
# From this number on none had ended yet; rows with such a number come from a dump of a database that was further on.
NOT_BEGUN = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), BigInteger)
# Left to itself a server sorts a long line by all that its jobs share, compiles the statement first, and keeps the
# other core out of it: that takes more than twice as long as to hash it, by as many processes as there are cores.
HOW_TO_READ = {
    "work_mem": "'64MB'",
    "enable_sort": "off",
    "jit": "off",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
}
READ_AT_ONCE = "; ".join(f"SET LOCAL {name} TO {value}" for name, value in HOW_TO_READ.items()).encode()
READ_AS_BEFORE = "; ".join(f"SET LOCAL {name} TO DEFAULT" for name in HOW_TO_READ).encode()
ALL_WAITING = Statement(
    select(*SHARED, func.array_agg(Job.id), func.array_agg(Job.created_at)).where(IS_WAITING).group_by(*SHARED)
)
# What this very transaction has changed is seen, whatever its number.
IS_OURS = Job.changed_in == cast(cast(func.pg_current_xact_id_if_assigned(), Text), BigInteger)
CHANGED = Statement(
    select(*SHARED, Job.id, Job.created_at, Job.status, *TOLD).where(
        Job.changed_in >= bindparam("since", type_=BigInteger),
        or_(Job.changed_in < NOT_BEGUN, IS_OURS),
    )
)
ALL_TOLD = Statement(select(Job.id, *TOLD).where(IS_WAITING, Job.pending_reason.is_not(None)))


@dataclass(frozen=True)
class LineChanges:
    """The jobs that wait or have changed, and those of them that wait no longer; all is there for who reads on later.

    `read_from` is where to read on from: some of these are found once more then. `is_whole`: all that wait are there,
    in no order, and what they were told is not; else `told` has it, of those that were told something.
    """

    read_from: int
    waiting: Sequence[QueuedJob]
    gone: Sequence[str] = ()
    told: Mapping[str, Told] = field(default_factory=dict)
    is_whole: bool = False


class FoundChanges(NamedTuple):
    """What `find_changes` has found of the line since an earlier reading; None: nothing is known of it."""

    since: int | None
    rows: Sequence[Sequence[Row]]


def find_changes(since: int | None) -> list[Command]:
    """Make the commands that find what has changed of the line since an earlier reading, if there was one."""
    return [Command(UNDER_WAY), Command(CHANGED, {"since": since}, finds_nothing=since is None)]


async def read_line(work: Work, since: int | None, found: FoundChanges | None = None) -> LineChanges:
    """Read what has changed of the jobs that wait since an earlier reading; None: all that wait.

    All are read, too, where that reading was of a database that was further on: this one was restored since. `found`
    is what is known of it already, if it is of the same reading.
    """
    if found is None or found.since != since:
        found = FoundChanges(since, await work.run_together(find_changes(since)))
    ((read_from,),), changed = found.rows
    if since is None or since > read_from:
        return LineChanges(read_from, await list_waiting(work), is_whole=True)
    return _read_changes(read_from, changed)


async def find_under_way(work: Work) -> int:
    """Find below which number of a transaction all have ended."""
    (((read_from,),),) = await work.run_together([Command(UNDER_WAY)])
    return int(read_from)


async def list_waiting(work: Work) -> list[QueuedJob]:
    """List the jobs that wait, in no order; one of whom something cannot be read has a `fault`."""
    (rows,) = await work.run_together([Command(ALL_WAITING)], before=READ_AT_ONCE, after=READ_AS_BEFORE)
    return [job for *shared, ids, created in rows for job in _read_alike(shared, ids, created)]


async def read_told(work: Work) -> dict[str, Told]:
    """Read what all jobs that wait were told last; one that was told nothing is not among them."""
    (rows,) = await work.run_together([Command(ALL_TOLD)])
    return {job_id: Told(*what) for job_id, *what in rows}


def _read_changes(read_from: int, rows: Iterable[Row]) -> LineChanges:
    waiting: list[QueuedJob] = []
    gone: list[str] = []
    known: dict[str, Told] = {}
    for *shared, job_id, created_at, status, reason, expected, latest in rows:
        if status != JobStatus.QUEUED:
            gone.append(job_id)
            continue
        waiting += _read_alike(shared, [job_id], [created_at])
        if reason is not None:
            known[job_id] = Told(reason, expected, latest)
    return LineChanges(read_from, waiting, gone, known)


def _read_alike(shared: Sequence[Any], ids: Iterable[str], created: Iterable[datetime]) -> list[QueuedJob]:
    """Read jobs that share all but their ids and their age."""
    contract_id, queue, gpus, left, whole, types, prefer, finish_by, batch_id, at_once, *rest = shared
    runs, fault = _read_runs(left, whole, types)
    placement = _place(runs, prefer, finish_by)
    batch = None if batch_id is None or at_once is None else BatchLimit(batch_id, at_once)
    return [
        QueuedJob(job_id, contract_id, queue, gpus, created_at, placement, fault, batch, *rest)
        for job_id, created_at in zip(ids, created, strict=True)
    ]


@lru_cache(maxsize=4096)  # jobs that are alike share one
def _place(runs: tuple[TypedRun, ...], prefer: str, finish_by: datetime | None) -> Placement:
    return Placement(runs, prefer, finish_by)


@lru_cache(maxsize=4096)  # jobs that are alike are read once
def _read_runs(left: str | None, whole: str | None, types: str | None) -> tuple[tuple[TypedRun, ...], str | None]:
    """Read what is left of a job on each GPU type, the same share of it on all; and what of that cannot be read."""
    told = whole if left is None else left
    if told is None or not WHOLE.fullmatch(told) or whole is None or not WHOLE.fullmatch(whole):
        return (), f"the GPU-seconds that it is expected to need are {str(told)[:40]}, no whole number"
    if types is None:
        return (TypedRun(ANY_TYPE, int(told), int(told), 0),), None
    share = Fraction(1) if left is None else Fraction(int(left), max(1, int(whole)))
    try:
        return tuple(TypedRun.from_json(written).scale(share) for written in json.loads(types)), None
    except (KeyError, TypeError) as error:
        return (), f"the GPU types that it may run on: {type(error).__name__}: {error}"
