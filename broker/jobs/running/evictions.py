"""Evictions: a run is told to save and stop by our doing; it is recorded why, for whom, and at which prices.

Its job is queued again with its age, from its last checkpoint; what it did after that is borne by the house.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from broker.contracts import service as contracts
from broker.jobs.rules.model import HOLDS_DEVICES, MAKES_WAY, EvictionReason, StopReason
from broker.jobs.running.control import request_stop
from broker.jobs.service import find_active_run
from broker.jobs.tables import Eviction, Job, Run
from broker.work import Work
from pricing.money import MICROS_PER_UNIT


@dataclass(frozen=True)
class NewEviction:
    """A run that is to stop for another job; `kept_gpus` of the node are kept for that.

    `lost_micros` is what its lost work and its restart were expected to be worth. Units: whole GPUs, micro-yuan.
    """

    job_id: str
    for_job_id: str
    reason: EvictionReason
    pool: str
    node: str
    kept_gpus: int
    lost_micros: int


async def evict_run(work: Work, new: NewEviction) -> bool:
    """Tell the run of a job to save and stop for another job; tells whether it was told.

    It is not where the job is locked elsewhere, runs no more, or is stopping for something else.
    """
    job, for_job = await _lock_running(work, new.job_id), await work.session.get(Job, new.for_job_id)
    if job is None or for_job is None:
        return False
    run = await _get_run(work, job)
    own_price = await _price_hour(work, job.contract_id, run)
    facts = {
        "for_job_id": for_job.id,
        "for_contract_id": for_job.contract_id,
        "node": new.node,
        "kept_gpus": new.kept_gpus,
        "for_price_micros": await _price_hour(work, for_job.contract_id, run),
        "lost_micros": new.lost_micros,
    }
    _record(work, job, run, reason=new.reason.value, pool=new.pool, price_micros=own_price, **facts)
    await request_stop(work, job, StopReason.PREEMPT)
    return True


async def stop_beyond_quota(work: Work, job_id: str) -> bool:
    """Tell the run of a job to save and stop, since its queue or contract may run less; tells whether it was.

    It is not where the job runs no more, or is stopping for something else. One that is locked elsewhere is waited for:
    nobody comes back to it.
    """
    job = await _lock_running(work, job_id, waits=True)
    if job is None:
        return False
    run = await _get_run(work, job)
    price = await _price_hour(work, job.contract_id, run)
    _record(work, job, run, reason=EvictionReason.QUOTA.value, pool=run.pool, price_micros=price, kept_gpus=0)
    await request_stop(work, job, StopReason.QUOTA)
    return True


async def _lock_running(work: Work, job_id: str, *, waits: bool = False) -> Job | None:
    """Lock a job that holds devices and is not stopping; None where it is not so, or nobody waits for its lock."""
    held = select(Job).where(Job.id == job_id, Job.status.in_([status.value for status in HOLDS_DEVICES]))
    locked = held.where(Job.stop_requested.is_(None)).with_for_update(key_share=True, skip_locked=not waits)
    return (await work.session.scalars(locked.execution_options(populate_existing=True))).one_or_none()


async def _get_run(work: Work, job: Job) -> Run:
    run = await find_active_run(work, job.id)
    assert run is not None, "a job that holds devices has an active run"
    return run


def _record(work: Work, job: Job, run: Run, **facts: Any) -> None:
    own = {"customer_id": job.customer_id, "job_id": job.id, "run_id": run.id, "gpus": run.gpus}
    work.session.add(Eviction(id=work.new_id("evi"), created_at=work.now, **own, **facts))


async def _price_hour(work: Work, contract_id: str, run: Run) -> int:
    """Price a GPU-hour of a run's type under a contract. Units: micro-yuan."""
    terms = await contracts.get_contract(work, contract_id)
    return round(terms.prices_at(work.now, run.gpu_type).per_gpu_hour * MICROS_PER_UNIT)


async def find_grace(work: Work, run_id: str) -> float:
    """Find how long a run that is to stop has for its checkpoint: no work is lost to haste at a moment of our choice.

    Units: seconds.
    """
    query = select(Job.stop_requested).join(Run, Run.job_id == Job.id).where(Run.id == run_id)
    reason = await work.session.scalar(query.where(Run.attempt == Job.attempts))
    return work.settings.preemption_grace_seconds if reason in MAKES_WAY else work.settings.stop_grace_seconds
