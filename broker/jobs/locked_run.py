"""A run and its job under lock, and whether its worker may still report."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from broker import errors
from broker.jobs.model import RUN_ENDS, RunStatus
from broker.jobs.service import get_job, lock_job
from broker.jobs.tables import Job, Run
from broker.work import Work


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


async def lock_runs(work: Work, run_ids: Collection[str]) -> dict[str, LockedRun]:
    """Lock runs by their jobs, in the order of the jobs' ids; one that is not there is left out."""
    theirs = select(Run.job_id).where(Run.id.in_(run_ids))
    query = select(Job).where(Job.id.in_(theirs)).order_by(Job.id).with_for_update(key_share=True)
    jobs = {job.id: job for job in await work.session.scalars(query.execution_options(populate_existing=True))}
    runs = select(Run).where(Run.id.in_(run_ids)).execution_options(populate_existing=True)
    return {run.id: LockedRun(run, jobs[run.job_id]) for run in await work.session.scalars(runs)}


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
