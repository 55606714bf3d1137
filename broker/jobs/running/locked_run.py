"""A run and its job under lock, and whether its worker may still report."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, any_, bindparam, select

from broker import errors
from broker.jobs.rules.model import RUN_ENDS, RunStatus
from broker.jobs.service import get_job, lock_job
from broker.jobs.tables import Job, Run
from broker.persistence.driver import Command, Row, Statement
from broker.persistence.records import RecordFormat, Records
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Work

# What a job trains, how it was ordered and where it waited is no matter of its heartbeats and its end.
OF_NO_RUN = (
    "config",
    "gpu_types",
    "offered_types",
    "prefer",
    "finish_by",
    "dataset_id",
    "quote_id",
    "template_id",
    "template",
    "tracker",
    "name",
    "batch_id",
    "batch_at_once",
    "max_cost_micros",
    "changed_in",
    "ended_cost_micros",
)
JOB_RECORDS, RUN_RECORDS = RecordFormat(Job, without=OF_NO_RUN), RecordFormat(Run)
TOLD = any_(bindparam("run_ids", type_=ARRAY(Text)))
LOCK_JOBS = Statement(
    select(*JOB_RECORDS.columns)
    .where(Job.id.in_(select(Run.job_id).where(Run.id == TOLD)), is_seen(Job.customer_id))
    .order_by(Job.id)
    .with_for_update(key_share=True),
    planned_once=True,
)
RUNS = Statement(
    select(*RUN_RECORDS.columns).where(Run.id == TOLD, is_seen(Run.customer_id)),
    planned_once=True,
)


@dataclass(frozen=True)
class LockedRun:
    """A run with its job, both locked."""

    run: Run
    job: Job


async def get_run(work: Work, run_id: str) -> Run:
    """Get a run. Raises: NotFound."""
    run = await work.session.get(Run, run_id)
    if run is None:
        raise errors.NotFound("run", run_id)
    return run


async def lock_run(work: Work, run_id: str, fence_token: int) -> LockedRun:
    """Lock a run that may still report. Raises: NotFound, StaleFenceToken."""
    locked = await lock_any_run(work, run_id)
    require_current(locked, fence_token)
    return locked


@dataclass(frozen=True)
class LockedRuns:
    """Runs by their ids with their jobs, all locked: records, which are written by `command_changes` alone."""

    by_id: Mapping[str, LockedRun]
    runs: Records[Run]
    jobs: Records[Job]

    def command_changes(self) -> list[Command]:
        """Make the commands that write what has changed of the runs and their jobs."""
        return [*self.jobs.command_changes(), *self.runs.command_changes()]


def lock_runs(run_ids: Collection[str], *, seen_by: Collection[str] | None) -> list[Command]:
    """Make the commands that lock runs by their jobs, in the order of the jobs' ids; see `read_locked_runs`.

    `seen_by`: the customers whose rows are the only ones seen; None for those who see every customer's.
    """
    asked = {"run_ids": list(run_ids), SEEN_BY.key: seen_by}
    return [Command(LOCK_JOBS, asked), Command(RUNS, asked)]


def find_runs(run_ids: Collection[str]) -> Command:
    """Make the command that finds those of some runs that there are, of all customers."""
    return Command(RUNS, {"run_ids": list(run_ids), SEEN_BY.key: None})


def read_runs(found: Sequence[Sequence[Row]]) -> Records[Run]:
    """Read the runs from the rows of `find_runs`."""
    return RUN_RECORDS.read(found[0])


def read_locked_runs(found: Sequence[Sequence[Row]]) -> LockedRuns:
    """Read the runs from the rows of `lock_runs`; one that is not there is left out."""
    jobs, runs = JOB_RECORDS.read(found[0]), RUN_RECORDS.read(found[1])
    by_id = {job.id: job for job in jobs}
    return LockedRuns({run.id: LockedRun(run, by_id[run.job_id]) for run in runs}, runs, jobs)


async def lock_metered_run(work: Work, run_id: str, fence_token: int) -> LockedRun:
    """Lock a run for usage that it had, were it ended or superseded since. Raises: NotFound, StaleFenceToken."""
    locked = await lock_any_run(work, run_id)
    if locked.run.fence_token != fence_token:
        raise errors.StaleFenceToken(f"The fence token of run {run_id} is another.")
    return locked


async def lock_any_run(work: Work, run_id: str) -> LockedRun:
    """Lock a run, whether or not its worker may still report. Raises: NotFound."""
    job_id = await work.session.scalar(select(Run.job_id).where(Run.id == run_id))
    if job_id is None:
        raise errors.NotFound("run", run_id)
    job = await lock_job(work, job_id)
    run = await work.session.get_one(Run, run_id, populate_existing=True)
    return LockedRun(run, job)


async def check_current(work: Work, run_id: str, fence_token: int) -> None:
    """Refuse a run that may not report, without a lock: before an upload, which checks again once it is stored.

    Raises: NotFound, StaleFenceToken.
    """
    run = await get_run(work, run_id)
    seen = LockedRun(run, await get_job(work, run.job_id))
    require_current(seen, fence_token)
    require_active(seen)


def require_active(locked: LockedRun) -> None:
    """Refuse a run that has ended: its devices may belong to another by now. Raises: StaleFenceToken."""
    if RunStatus(locked.run.status) in RUN_ENDS:
        raise errors.StaleFenceToken(
            f"Run {locked.run.id} has ended ({locked.run.status}); stop and report nothing more.",
            current_fence_token=locked.job.attempts,
        )


def require_current(locked: LockedRun, fence_token: int) -> None:
    """Refuse a run that a later attempt of its job has superseded. Raises: StaleFenceToken."""
    if locked.run.fence_token != fence_token or locked.job.attempts != locked.run.attempt:
        raise errors.StaleFenceToken(
            f"Run {locked.run.id} was superseded; stop and report nothing more.",
            current_fence_token=locked.job.attempts,
        )
