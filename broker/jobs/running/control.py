"""Stopping jobs: cancelled or paused by their customer or ops, or told to stop by the broker."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from broker import errors
from broker.contracts import service as contracts
from broker.jobs.events import record_event
from broker.jobs.rules.model import HOLDS_DEVICES, TERMINAL, JobStatus, StopReason
from broker.jobs.service import find_active_run, lock_job, set_status
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.persistence import outbox
from broker.persistence.database import wake_dispatcher
from broker.persistence.driver import Command, Row
from broker.persistence.membership import is_one_of
from broker.work import Work

# The kind of a decision on several jobs at once: what it changed is by job.
SEVERAL_JOBS = "jobs"


async def cancel_job(work: Work, job_id: str) -> Job:
    """Cancel a job: at once where it holds no devices, else as soon as its run has stopped. What it used is billed.

    Raises: NotFound, IllegalTransition.
    """
    job = await lock_job(work, job_id)
    if JobStatus(job.status) in HOLDS_DEVICES:
        await request_stop(work, job, StopReason.CANCEL)
        return job
    set_status(work, job, JobStatus.CANCELLED)
    await ledger.settle_hold(work, job.id)
    record_event(work, job, "cancelled", {})
    return job


async def pause_job(work: Work, job_id: str) -> Job:
    """Take a job out of the queue, or stop its run after a checkpoint; its hold stays.

    Raises: NotFound, IllegalTransition.
    """
    job = await lock_job(work, job_id)
    if JobStatus(job.status) in HOLDS_DEVICES:
        await request_stop(work, job, StopReason.PAUSE)
        return job
    take_out_of_queue(work, job, StopReason.PAUSE)
    return job


def take_out_of_queue(work: Work, job: Job, reason: StopReason) -> None:
    """Pause a locked job that waits in its queue, and tell why."""
    set_status(work, job, JobStatus.PAUSED)
    job.pause_reason = reason.value
    record_event(work, job, "paused", {"reason": reason.value})


async def set_priority(work: Work, job_id: str, priority: int | None, reason: str) -> Job:
    """Put a job at a priority of its own in place of its queue's, from the next cycle on; None: at its queue's again.

    Its customer is told why. Raises: NotFound, IllegalTransition, where the job is over.
    """
    job = await lock_job(work, job_id)
    if JobStatus(job.status) in TERMINAL:
        told = f"Job {job_id} is {job.status}: it waits for nothing any more."
        raise errors.IllegalTransition(told, status_before=job.status)
    work.note_change("job", job_id, {"priority": job.priority}, {"priority": priority})
    job.priority = priority
    record_event(work, job, "priority_changed", {"priority": priority, "reason": reason})
    await wake_dispatcher(work.session)
    return job


async def set_priorities(work: Work, priorities: Mapping[str, int | None], reason: str) -> None:
    """Put several jobs each at a priority of its own, as `set_priority` does: all, or none; one decision on record.

    Raises: NotFound, IllegalTransition, which name the job.
    """
    jobs = [await set_priority(work, job_id, priorities[job_id], reason) for job_id in sorted(priorities)]
    noted = {change.object_id: change.before["priority"] for change in work.changes[-len(jobs) :] if change.after}
    after = {job_id: priorities[job_id] for job_id in noted}
    work.note_change(SEVERAL_JOBS, f"{len(jobs)} jobs", noted, after)


async def list_priorities(work: Work, job_ids: Collection[str]) -> dict[str, int | None]:
    """List the priorities of their own that jobs have; None: their queue's."""
    query = select(Job.id, Job.priority).where(is_one_of(Job.id, job_ids)).order_by(Job.id)
    return dict((await work.session.execute(query)).all()) if job_ids else {}


async def list_queued_without_contract(work: Work) -> list[str]:
    """List the jobs in queues whose contract has ended: nothing would pay for a run of theirs."""
    query = select(Job.id).where(Job.status == JobStatus.QUEUED.value)
    return list(await work.session.scalars(query.where(Job.contract_id.in_(contracts.select_ended(work.now)))))


async def pause_without_contract(work: Work, job_id: str) -> None:
    """Take a job whose contract has ended out of its queue, where no cycle has started it meanwhile."""
    job = await lock_job(work, job_id)
    if job.status == JobStatus.QUEUED:
        take_out_of_queue(work, job, StopReason.CONTRACT_ENDED)


def find_unpaid(contract_ids: Collection[str]) -> list[Command]:
    """Make the commands that find which contracts may have jobs for which nothing would pay; see `pause_unpaid`."""
    return [ledger.find_nearly_spent(contract_ids), contracts.find_stopping(contract_ids)]


async def pause_unpaid(work: Work, contract_of: Mapping[str, str], found: Sequence[Sequence[Row]]) -> set[str]:
    """Take out of their queues those of some jobs, by their contracts, for which nothing would pay.

    Nothing of the month's budget is left, and what they hold is of an earlier month; or their contract is in arrears,
    and they have nothing that is paid. They would begin, and be told to stop at once. Returns them. `found` are the
    rows of `find_unpaid`.
    """
    spent, in_arrears = found
    stopping = await ledger.read_nearly_spent(work, spent) | {contract_id for (contract_id,) in in_arrears}
    concerned = [job_id for job_id, contract_id in contract_of.items() if contract_id in stopping]
    return {job_id for job_id in concerned if await _pause_if_unpaid(work, job_id)}


async def _pause_if_unpaid(work: Work, job_id: str) -> bool:
    waiting = select(Job).where(Job.id == job_id, Job.status == JobStatus.QUEUED.value)
    locked = waiting.with_for_update(key_share=True, skip_locked=True).execution_options(populate_existing=True)
    job = (await work.session.scalars(locked)).one_or_none()
    if job is None:
        return False
    hold = await ledger.get_hold(work, job.id)
    shortage = await ledger.find_shortage_ahead(work, hold, promise=job.promise)
    if shortage not in {ledger.Shortage.BUDGET, ledger.Shortage.ARREARS}:
        return False
    take_out_of_queue(work, job, StopReason(shortage.value))
    await wake_dispatcher(work.session)
    return True


async def request_stop(work: Work, job: Job, reason: StopReason) -> None:
    """Tell the run of a locked job to stop: by its next heartbeat and, in case it does not listen, by its engine.

    A stop for the same reason changes nothing; a cancellation overrides every other reason and is final. Who makes room
    for another job may be told to stop for a reason of its own, and then pauses.
    Raises: IllegalTransition, where the job is being cancelled and was to be stopped for something else.
    """
    earlier = job.stop_requested
    if earlier == reason:
        return
    if earlier == StopReason.CANCEL:
        raise errors.IllegalTransition(f"Job {job.id} is being cancelled.", status_before=job.status)
    job.stop_requested = reason.value
    record_event(work, job, "stop_requested", {"reason": reason.value})
    if earlier is not None:
        return
    run = await find_active_run(work, job.id)
    assert run is not None, "a job that holds devices has an active run"
    await outbox.enqueue(work.session, recipient=run.recipient, kind="stop", run_id=run.id, now=work.now)
