"""The jobs that the planner plans with: who waits, who holds devices."""

from collections.abc import Collection

from sqlalchemy import select

from broker.jobs.model import HOLDS_DEVICES, JobStatus
from broker.jobs.tables import Job, Run
from broker.work import Work


async def list_waiting(work: Work) -> list[Job]:
    query = select(Job).where(Job.status == JobStatus.QUEUED.value).order_by(Job.created_at, Job.id)
    return list((await work.session.scalars(query)).all())


async def list_holding_devices(work: Work) -> list[tuple[Job, Run]]:
    """Dispatched and running jobs with their present run."""
    query = (
        select(Job, Run)
        .join(Run, (Run.job_id == Job.id) & (Run.attempt == Job.attempts))
        .where(Job.status.in_([status.value for status in HOLDS_DEVICES]))
    )
    return [(job, run) for job, run in await work.session.execute(query)]


async def lock_waiting(work: Work, job_ids: Collection[str]) -> dict[str, Job]:
    """Lock those that still wait; one that is locked elsewhere is left for the next cycle."""
    query = (
        select(Job)
        .where(Job.id.in_(job_ids), Job.status == JobStatus.QUEUED.value)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return {job.id: job for job in await work.session.scalars(query)}


def expected_seconds(job: Job) -> int:
    """Half of such jobs hold their devices no longer."""
    gpu_seconds: int = job.estimate["gpu_seconds"]["p50"]
    return max(1, gpu_seconds // job.gpus)
