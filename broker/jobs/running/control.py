"""Stopping jobs: cancelled or paused by their customer or ops, or told to stop by the broker."""

from broker import errors
from broker.jobs.events import record_event
from broker.jobs.rules.model import HOLDS_DEVICES, JobStatus, StopReason
from broker.jobs.service import find_active_run, lock_job, set_status
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.persistence import outbox
from broker.work import Work


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
    set_status(work, job, JobStatus.PAUSED)
    job.pause_reason = StopReason.PAUSE.value
    record_event(work, job, "paused", {"reason": StopReason.PAUSE.value})
    return job


async def request_stop(work: Work, job: Job, reason: StopReason) -> None:
    """Tell the run of a locked job to stop: by its next heartbeat and, in case it does not listen, by its engine.

    A stop for the same reason changes nothing; a cancellation overrides every other reason and is final.
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
