"""Jobs of contracts in arrears: what nobody has paid for pauses after a checkpoint, and goes on once that is paid.

Each job is a transaction of its own, which may be done again: a job that is as it should be stays so.
"""

from collections.abc import Collection

from sqlalchemy import select

from broker import errors
from broker.contracts import service as contracts
from broker.jobs.events import record_event
from broker.jobs.rules.model import HOLDS_DEVICES, MAKES_WAY, TERMINAL, JobStatus, StopReason
from broker.jobs.running.control import cancel_job, request_stop, take_out_of_queue
from broker.jobs.running.resume import resume_job
from broker.jobs.service import lock_job, select_ids_of_contract
from broker.jobs.tables import Job, Run
from broker.ledger import service as ledger
from broker.work import Work

LIVE = [status.value for status in JobStatus if status not in TERMINAL]
MAY_RUN = [JobStatus.QUEUED.value, *(status.value for status in HOLDS_DEVICES)]
# Told to stop for one of these it would wait in its queue again: arrears come before them, and before no other reason.
# A customer's own pause stays one, or the job would go on by itself once the arrears are settled.
OVERRULED = frozenset({None, *MAKES_WAY})
# What a job stays paused for that could not go on, by the refusal: its customer resumes it once that is mended.
PAUSED_FOR = {
    errors.MaxCostExceeded: StopReason.LIMIT,
    errors.BudgetExceeded: StopReason.BUDGET,
    errors.NoContractInForce: StopReason.CONTRACT_ENDED,
}


async def list_jobs_in_arrears(work: Work) -> list[str]:
    """List the jobs that run or wait under contracts whose arrears stop them, but for those that stop already."""
    stopping = await contracts.list_stopping(work)
    if not stopping:
        return []
    going_on = Job.stop_requested.is_(None) | Job.stop_requested.in_([reason.value for reason in MAKES_WAY])
    theirs = Job.contract_id.in_(stopping)
    waiting = select(Job.id).where(theirs, Job.status == JobStatus.QUEUED.value)
    active = select(Run.job_id).where(Run.status.in_(("starting", "running")))
    running = select(Job.id).where(theirs, Job.id.in_(active), going_on)
    return sorted({*await work.session.scalars(waiting), *await work.session.scalars(running)})


async def stop_in_arrears(work: Work, job_id: str) -> None:
    """Pause a job whose contract is in arrears where nothing paid is left for it: after a checkpoint, if it runs."""
    job = await lock_job(work, job_id)
    if job.status not in MAY_RUN or job.stop_requested not in OVERRULED:
        return
    hold = await ledger.lock_hold(work, job.id)
    if not await ledger.is_beyond_paid(hold, work.now):
        return
    if job.status == JobStatus.QUEUED:
        take_out_of_queue(work, job, StopReason.ARREARS)
    else:
        await request_stop(work, job, StopReason.ARREARS)


async def list_jobs_to_resume(work: Work) -> list[str]:
    """List the jobs that were paused for arrears which are settled."""
    query = select(Job.id, Job.contract_id).where(
        Job.status == JobStatus.PAUSED.value, Job.pause_reason == StopReason.ARREARS.value
    )
    paused = (await work.session.execute(query.order_by(Job.id))).all()
    current = await contracts.list_current(work, {contract_id for _job, contract_id in paused}) if paused else set()
    return [job_id for job_id, contract_id in paused if contract_id in current]


async def resume_after_arrears(work: Work, job_id: str) -> None:
    """Let a job go on that was paused for arrears; where something else is in its way, it is paused for that.

    It is not tried again then, and its customer is told.
    """
    job = await lock_job(work, job_id)
    if (job.status, job.pause_reason) != (JobStatus.PAUSED, StopReason.ARREARS):
        return
    try:
        async with work.session.begin_nested():
            await resume_job(work, job_id)
    except errors.InArrears:
        return
    except errors.DomainError as refusal:
        await work.session.refresh(job)
        job.pause_reason = PAUSED_FOR.get(type(refusal), StopReason.BALANCE).value
        record_event(work, job, "not_resumed", {"reason": job.pause_reason, "detail": refusal.detail})


async def list_live_jobs(work: Work, contract_id: str) -> Collection[str]:
    """List the jobs of a contract that are not over."""
    query = select_ids_of_contract(contract_id).where(Job.status.in_(LIVE))
    return list(await work.session.scalars(query.order_by(Job.id)))


async def cancel_closed_job(work: Work, job_id: str) -> None:
    """Cancel a job whose contract is closed: nothing of it is kept. One that runs ends with its next heartbeat."""
    job = await lock_job(work, job_id)
    if job.status in LIVE and job.stop_requested != StopReason.CANCEL:
        await cancel_job(work, job_id)
