"""Evictions: a run is told to stop so that another may start; it is recorded for whom, why, and at which prices.

Its job is queued again with its age, from its last checkpoint; what it did after that is borne by the house.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.jobs.rules.model import HOLDS_DEVICES, EvictionReason, StopReason
from broker.jobs.running.control import request_stop
from broker.jobs.service import find_active_run
from broker.jobs.tables import Eviction, Job, Run
from broker.work import Work
from pricing.money import MICROS_PER_UNIT


@dataclass(frozen=True)
class NewEviction:
    """A run that is to stop, and for which job; `kept_gpus` of the node are kept for that.

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
    held = select(Job).where(Job.id == new.job_id, Job.status.in_([status.value for status in HOLDS_DEVICES]))
    locked = held.with_for_update(key_share=True, skip_locked=True).execution_options(populate_existing=True)
    job = (await work.session.scalars(locked)).one_or_none()
    for_job = await work.session.get(Job, new.for_job_id)
    if job is None or for_job is None or job.stop_requested is not None:
        return False
    run = await find_active_run(work, job.id)
    assert run is not None, "a job that holds devices has an active run"
    await _record(work, job, run, for_job, new)
    await request_stop(work, job, StopReason.PREEMPT)
    return True


async def _record(work: Work, job: Job, run: Run, for_job: Job, new: NewEviction) -> None:
    terms = await contracts.load_terms(work, {job.contract_id, for_job.contract_id})
    work.session.add(
        Eviction(
            id=work.new_id("evi"),
            customer_id=job.customer_id,
            job_id=job.id,
            run_id=run.id,
            reason=new.reason.value,
            for_job_id=for_job.id,
            for_contract_id=for_job.contract_id,
            pool=new.pool,
            node=new.node,
            gpus=run.gpus,
            kept_gpus=new.kept_gpus,
            price_micros=_price_hour(terms[job.contract_id], run, work.now),
            for_price_micros=_price_hour(terms[for_job.contract_id], run, work.now),
            lost_micros=new.lost_micros,
            created_at=work.now,
        )
    )


def _price_hour(terms: ContractTerms, run: Run, moment: datetime) -> int:
    """Price a GPU-hour of a run's type under a contract. Units: micro-yuan."""
    return round(terms.prices_at(moment, run.gpu_type).per_gpu_hour * MICROS_PER_UNIT)


async def find_grace(work: Work, run_id: str) -> float:
    """Find how long a run that is to stop has for its checkpoint, by why it is. Units: seconds."""
    query = select(Job.stop_requested).join(Run, Run.job_id == Job.id).where(Run.id == run_id)
    reason = await work.session.scalar(query.where(Run.attempt == Job.attempts))
    is_ours = reason == StopReason.PREEMPT
    return work.settings.preemption_grace_seconds if is_ours else work.settings.stop_grace_seconds
