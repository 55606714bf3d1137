"""Checkpoints: what a run has uploaded, and which one the next run goes on from."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, and_, func, or_, select, update

from broker.jobs.events import record_event
from broker.jobs.running.locked_run import LockedRun
from broker.jobs.service import select_ids_of_contract
from broker.jobs.tables import Checkpoint, Job
from broker.persistence.storage import StoredObject
from broker.work import Work

__all__ = [
    "Checkpoint",
    "delete_of_contract",
    "find_checkpoint",
    "find_last_checkpoint",
    "keep_checkpoint",
    "mark_superseded",
    "mark_unusable",
    "select_checkpoints",
    "tell_hashes",
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
    ordered = select_checkpoints(job_id).order_by(Checkpoint.step.desc(), Checkpoint.id.desc())
    return (await work.session.scalars(ordered.limit(1))).one_or_none()


def select_checkpoints(job_id: str) -> Select[Checkpoint]:
    """Select the checkpoints of a job that are still kept, and that a run can go on from."""
    return select(Checkpoint).where(
        Checkpoint.job_id == job_id, Checkpoint.deleted_at.is_(None), Checkpoint.unusable_at.is_(None)
    )


async def mark_unusable(work: Work, locked: LockedRun) -> Sequence[str]:
    """Mark the checkpoint as unusable that a run was to go on from, and could not; returns the runs that lost theirs.

    Earlier ones that were swept since cannot be gone back to either; those that are still there can.
    """
    run = locked.run
    earlier = select_checkpoints(run.job_id).where(Checkpoint.run_id != run.id)
    ordered = earlier.order_by(Checkpoint.step.desc(), Checkpoint.id.desc()).limit(1)
    tried = (await work.session.scalars(ordered)).one_or_none()
    if tried is None:
        return ()
    swept = and_(Checkpoint.deleted_at.is_not(None), Checkpoint.step < tried.step)
    own = (Checkpoint.job_id == run.job_id, Checkpoint.run_id != run.id, Checkpoint.unusable_at.is_(None))
    marking = update(Checkpoint).where(*own, or_(Checkpoint.id == tried.id, swept)).values(unusable_at=work.now)
    marked = await work.session.scalars(marking.returning(Checkpoint.run_id))
    return sorted(set(marked.all()))


async def mark_superseded(work: Work, *, kept: int, ended_before: datetime, limit: int) -> int:
    """Mark checkpoints as deleted that no run goes on from: beyond the most advanced, and of jobs long over.

    Their files may go once this is committed. Returns how many were marked.
    """
    place = func.row_number().over(
        partition_by=Checkpoint.job_id,
        order_by=(Checkpoint.unusable_at.is_not(None), Checkpoint.step.desc(), Checkpoint.id.desc()),
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


async def count_kept_bytes(work: Work) -> int:
    """Count the bytes of all checkpoints that are kept."""
    query = select(func.coalesce(func.sum(Checkpoint.size_bytes), 0)).where(Checkpoint.deleted_at.is_(None))
    return int(await work.session.scalar(query) or 0)


async def list_of_contract(work: Work, contract_id: str) -> Sequence[Checkpoint]:
    """List the checkpoints of a contract's jobs that are kept."""
    theirs = Checkpoint.job_id.in_(select_ids_of_contract(contract_id))
    query = select(Checkpoint).where(Checkpoint.deleted_at.is_(None), theirs)
    return (await work.session.scalars(query.order_by(Checkpoint.id))).all()


async def delete_of_contract(work: Work, contract_id: str) -> list[tuple[str, int]]:
    """Delete all checkpoints of a contract's jobs, which are over; returns their ids and sizes in bytes."""
    theirs = Checkpoint.job_id.in_(select_ids_of_contract(contract_id))
    marking = update(Checkpoint).where(Checkpoint.deleted_at.is_(None), theirs).values(deleted_at=work.now)
    marked = await work.session.execute(marking.returning(Checkpoint.id, Checkpoint.size_bytes))
    return sorted((checkpoint_id, size_bytes) for checkpoint_id, size_bytes in marked)


async def tell_kept(work: Work, keys: Sequence[str]) -> dict[str, bool]:
    """Tell of storage keys whether the checkpoint there is kept, or was deleted; keys of none are left out."""
    query = select(Checkpoint.storage_key, Checkpoint.deleted_at.is_(None)).where(Checkpoint.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())


async def tell_hashes(work: Work, keys: Sequence[str]) -> dict[str, str]:
    """Tell the SHA-256, hex, of what lies under storage keys."""
    query = select(Checkpoint.storage_key, Checkpoint.sha256).where(Checkpoint.storage_key.in_(keys))
    return dict((await work.session.execute(query)).all())
