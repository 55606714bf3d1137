"""Checkpoints: what a run has uploaded, and which one the next run goes on from."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select, update

from broker.jobs.events import record_event
from broker.jobs.locked_run import LockedRun
from broker.jobs.tables import Checkpoint, Job
from broker.persistence.storage import StoredObject
from broker.work import Work

__all__ = [
    "Checkpoint",
    "find_checkpoint",
    "find_last_checkpoint",
    "keep_checkpoint",
    "mark_superseded",
    "select_checkpoints",
    "tell_kept",
]


async def keep_checkpoint(work: Work, locked: LockedRun, step: int, stored: StoredObject) -> Checkpoint:
    """Record the checkpoint of a step; one that the run uploads again takes the place of the earlier one."""
    earlier = await find_checkpoint(work, locked.run.id, step)
    if earlier is not None:
        earlier.sha256, earlier.size_bytes, earlier.storage_key = stored.sha256, stored.size_bytes, stored.key
        earlier.deleted_at = None
        return earlier
    checkpoint = Checkpoint(
        id=work.new_id("chk"),
        customer_id=locked.job.customer_id,
        job_id=locked.job.id,
        run_id=locked.run.id,
        step=step,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        storage_key=stored.key,
        created_at=work.now,
    )
    work.session.add(checkpoint)
    await work.session.flush()
    record_event(work, locked.job, "checkpoint_saved", {"run_id": locked.run.id, "step": step})
    return checkpoint


async def find_checkpoint(work: Work, run_id: str, step: int) -> Checkpoint | None:
    """Find the checkpoint that a run has uploaded of a step; None where there is none."""
    query = select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)
    return (await work.session.scalars(query)).one_or_none()


async def find_last_checkpoint(work: Work, job_id: str) -> Checkpoint | None:
    """Find the most advanced checkpoint of any of the job's runs; None where there is none."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.job_id == job_id, Checkpoint.deleted_at.is_(None))
        .order_by(Checkpoint.step.desc(), Checkpoint.id.desc())
        .limit(1)
    )
    return (await work.session.scalars(query)).one_or_none()


def select_checkpoints(job_id: str) -> Select[Checkpoint]:
    """Select the checkpoints of a job that are still kept."""
    return select(Checkpoint).where(Checkpoint.job_id == job_id, Checkpoint.deleted_at.is_(None))


async def mark_superseded(work: Work, *, kept: int, ended_before: datetime, limit: int) -> int:
    """Mark checkpoints as deleted that no run goes on from: beyond the most advanced, and of jobs long over.

    Their files may go once this is committed. Returns how many were marked.
    """
    place = func.row_number().over(
        partition_by=Checkpoint.job_id, order_by=(Checkpoint.step.desc(), Checkpoint.id.desc())
    )
    ranked = (
        select(Checkpoint.id, place.label("place"), Job.finished_at)
        .join(Job, Job.id == Checkpoint.job_id)
        .where(Checkpoint.deleted_at.is_(None))
        .subquery()
    )
    superseded = or_(ranked.c.place > kept, ranked.c.finished_at < ended_before)
    chosen = select(ranked.c.id).where(superseded).limit(limit)
    marking = update(Checkpoint).where(Checkpoint.id.in_(chosen)).values(deleted_at=work.now)
    marked = await work.session.execute(marking.returning(Checkpoint.id))
    return len(marked.all())


async def tell_kept(work: Work, keys: Sequence[str]) -> dict[str, bool]:
    """Tell of storage keys whether the checkpoint there is kept, or was deleted; keys of none are left out."""
    query = select(Checkpoint.storage_key, Checkpoint.deleted_at.is_(None)).where(Checkpoint.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())
