"""Starts of runs: those of one cycle are decided job by job and written together, in few statements."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, any_, bindparam, select

from broker.capacity.readiness import Site, find_sites, read_sites
from broker.jobs.events import EventRow, command_events, log_event, write_event
from broker.jobs.rules.model import JobStatus, RunStatus
from broker.jobs.running.control import find_unpaid, pause_unpaid
from broker.jobs.running.runs import compute_lease
from broker.jobs.running.type_of_run import expect_on_type
from broker.jobs.service import set_status
from broker.jobs.tables import Job, Run
from broker.jobs.traced import find_traces_of_jobs, read_traces, trace_start
from broker.persistence import outbox
from broker.persistence.database import WAKE, WAKE_FOR_STARTED
from broker.persistence.driver import Command, RowFormat, Statement, run_together
from broker.persistence.records import RecordFormat
from broker.persistence.set_writes import command_inserts
from broker.work import Work

log = logging.getLogger(__name__)

# What a job trains is long to read, and no matter of its start.
JOBS, RUNS = RecordFormat(Job, without=["config"]), RowFormat(Run)
LOCK_WAITING = Statement(
    select(*JOBS.columns)
    .where(Job.id == any_(bindparam("job_ids", type_=ARRAY(Text))), Job.status == JobStatus.QUEUED.value)
    .order_by(Job.id)
    .with_for_update(key_share=True, skip_locked=True),
    planned_once=True,
)


# What is written of several starts at once may fail for one of them: then nothing of it is there.
SAVE, KEEP = b"SAVEPOINT starts", b"RELEASE SAVEPOINT starts; "
GO_BACK = b"ROLLBACK TO SAVEPOINT starts; RELEASE SAVEPOINT starts"


@dataclass(frozen=True)
class StartPlace:
    """Where a job of a contract is to start. `node`: on which machine of a cluster; None: the pool is one machine."""

    job_id: str
    contract_id: str
    pool: str
    node: str | None = None


@dataclass(frozen=True)
class StartedRuns:
    """The jobs that were started, and why each other that was tried could not be."""

    started: frozenset[str]
    failed: Mapping[str, str]


async def start_runs(work: Work, places: Sequence[StartPlace]) -> StartedRuns:
    """Dispatch those of these jobs that still wait: each gets an attempt, and a message for its pool's agent.

    One for which nothing would pay is taken out of its queue instead. One that is locked elsewhere is left for the next
    cycle. One that cannot start keeps no other from starting: where they cannot be written together each is written by
    itself.
    """
    if not places:
        return StartedRuns(frozenset(), {})
    try:
        return await _start_together(work, places)
    except Exception as error:
        log.debug("%d jobs could not be started", len(places), exc_info=error)
        if len(places) == 1:
            return StartedRuns(frozenset(), {places[0].job_id: f"{type(error).__name__}: {error}"})
    each = [await start_runs(work, [place]) for place in places]
    started = frozenset[str]().union(*(one.started for one in each))
    return StartedRuns(started, {job_id: why for one in each for job_id, why in one.failed.items()})


async def _start_together(work: Work, places: Sequence[StartPlace]) -> StartedRuns:
    by_job = {place.job_id: place for place in places}
    asking = [*find_unpaid({place.contract_id for place in places}), find_sites({place.pool for place in places})]
    asking.append(Command(LOCK_WAITING, {"job_ids": list(by_job)}))
    rows = await work.run_together([*asking, *find_traces_of_jobs(by_job)])
    (*unpaid, sites, found), parents = rows[: len(asking)], read_traces(rows[len(asking) :])
    paused = await pause_unpaid(work, {place.job_id: place.contract_id for place in places}, unpaid)
    jobs, site_of = JOBS.read(row for row in found if row[JOBS.key] not in paused), read_sites(sites)
    locked = {job.id: job for job in jobs}
    waited_for = {job.id: (job.pending_reason or {}).get("code") for job in jobs}
    runs: list[tuple[Job, Run]] = []
    failed: dict[str, str] = {}
    for job_id, place in by_job.items():
        if job_id not in locked:
            continue
        try:
            runs.append((locked[job_id], await _start(work, locked[job_id], place, site_of[place.pool])))
        except Exception as error:  # noqa: BLE001 (whatever keeps one from starting, the others start)
            failed[job_id] = f"{type(error).__name__}: {error}"
    events = _write_events(work, runs, waited_for, parents)
    written = [*jobs.command_changes(), *_command_starts(work, runs, events)]
    await _write_starts(work, written, all_started=len(runs) == len(places))
    return StartedRuns(frozenset(job.id for job, _run in runs), failed)


async def _write_starts(work: Work, commands: Sequence[Command], *, all_started: bool) -> None:
    """Write starts in one message, and wake who relays them; where one of them cannot be written, none is.

    Where not all were started that were planned, devices are left: it is planned anew.
    """
    try:
        await work.run_together(commands, before=SAVE, after=KEEP + (WAKE_FOR_STARTED if all_started else WAKE))
    except Exception:
        # Past the driver's cursors: after a rollback they forget what is prepared.
        await run_together(work.connection, (), before=GO_BACK)
        raise


async def _start(work: Work, job: Job, place: StartPlace, site: Site) -> Run:
    """Dispatch a locked, queued job; one that cannot start stays as it was.

    Raises: UnreadableDocument, where what it needs cannot be read: its end could not be accounted for either.
    """
    before = dict(vars(job))
    try:
        job.require_readable()
        set_status(work, job, JobStatus.DISPATCHED)
        job.attempts += 1
        await expect_on_type(work, job, site.gpu_type)
    except Exception:
        vars(job).update(before)
        raise
    return RUNS.make(
        id=work.new_id("run"),
        customer_id=job.customer_id,
        job_id=job.id,
        attempt=job.attempts,
        pool=place.pool,
        agent_id=site.agent_id,
        gpus=job.gpus,
        node=place.node,
        gpu_type=site.gpu_type,
        pretends=site.pretends,
        status=RunStatus.STARTING.value,
        used_gpu_seconds=0,
        used_tokens=0,
        acknowledged_sequence=-1,
        lease_expires_at=compute_lease(work),
        created_at=work.now,
    )


def _command_starts(work: Work, runs: Collection[tuple[Job, Run]], events: Iterable[EventRow]) -> list[Command]:
    """Make the commands that write new runs, with the events of their jobs and the messages for their agents."""
    messages = [outbox.NewMessage(run.recipient, "launch", run.id) for _job, run in runs]
    return [
        *command_inserts(Run, [RUNS.write(run) for _job, run in runs]),
        *command_events(events),
        *outbox.command_messages(messages, now=work.now),
    ]


def _write_events(
    work: Work, runs: Iterable[tuple[Job, Run]], waited_for: Mapping[str, str | None], parents: Mapping[str, str]
) -> list[EventRow]:
    written = []
    for job, run in runs:
        facts: dict[str, object] = {"run_id": run.id, "pool": run.pool, "attempt": run.attempt}
        if waited_for[job.id] is not None:
            facts["waited_for"] = waited_for[job.id]
        log_event(job, "dispatched", facts)
        facts |= trace_start(job, run, parents.get(job.id))
        written.append(write_event(job, "dispatched", facts, work.now))
    return written
