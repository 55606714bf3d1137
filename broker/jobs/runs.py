"""The life of a run: started by the planner, claimed by its worker, kept alive by heartbeats, ended once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from broker import errors
from broker.contracts import service as contracts
from broker.jobs.model import (
    RUN_ENDS,
    TERMINAL,
    JobStatus,
    RunStatus,
    StopReason,
    check_run_transition,
    decide_after_run,
)
from broker.jobs.remaining import estimate_remaining
from broker.jobs.service import get_job, lock_job, record_event, set_status
from broker.jobs.tables import Checkpoint, Job, Run
from broker.ledger import service as ledger
from broker.persistence import outbox
from broker.persistence.database import wake_dispatcher
from broker.work import Work


@dataclass(frozen=True)
class HeldRun:
    """A run with its job, both locked."""

    run: Run
    job: Job


async def start_run(work: Work, job: Job, pool: str) -> Run:
    """Dispatch a locked, queued job: a new attempt, and a message for the pool's engine once this commits."""
    set_status(work, job, JobStatus.DISPATCHED)
    job.attempts += 1
    run = Run(
        id=work.new_id("run"),
        customer_id=job.customer_id,
        job_id=job.id,
        attempt=job.attempts,
        pool=pool,
        gpus=job.gpus,
        status=RunStatus.STARTING.value,
        acknowledged_sequence=-1,
        lease_expires_at=_lease(work),
        created_at=work.now,
    )
    work.session.add(run)
    await work.session.flush()
    record_event(work, job, "dispatched", {"run_id": run.id, "pool": pool, "attempt": run.attempt})
    await outbox.enqueue(work.session, pool=pool, kind="launch", run_id=run.id, now=work.now)
    return run


def _lease(work: Work) -> Any:
    return work.now + timedelta(seconds=work.settings.lease_seconds)


async def get_run(work: Work, run_id: str) -> Run:
    """Raises: NotFound."""
    run = await work.session.get(Run, run_id)
    if run is None:
        raise errors.NotFound("run", run_id)
    return run


async def hold_run(work: Work, run_id: str, fence_token: int) -> HeldRun:
    """Lock a run that may still report. Raises: NotFound, StaleFenceToken."""
    held = await _lock_run(work, run_id)
    _check_fence(held, fence_token)
    return held


def _check_fence(held: HeldRun, fence_token: int) -> None:
    if held.run.fence_token != fence_token or held.job.attempts != held.run.attempt:
        raise errors.StaleFenceToken(
            f"Run {held.run.id} was superseded; stop and report nothing more.", current_fence_token=held.job.attempts
        )


async def check_current(work: Work, run_id: str, fence_token: int) -> None:
    """Refuse a run that may not report, without a lock: before an upload, which checks again once it is stored.

    Raises: NotFound, StaleFenceToken.
    """
    run = await get_run(work, run_id)
    job = await get_job(work, run.job_id)
    _check_fence(HeldRun(run, job), fence_token)
    require_active(HeldRun(run, job))


async def _lock_run(work: Work, run_id: str) -> HeldRun:
    job_id = await work.session.scalar(select(Run.job_id).where(Run.id == run_id))
    if job_id is None:
        raise errors.NotFound("run", run_id)
    job = await lock_job(work, job_id)
    run = await work.session.get_one(Run, run_id, populate_existing=True)
    return HeldRun(run, job)


def require_active(held: HeldRun) -> None:
    """Raises: StaleFenceToken, where the run has ended: the broker may have given its place away."""
    if RunStatus(held.run.status) in RUN_ENDS:
        raise errors.StaleFenceToken(
            f"Run {held.run.id} has ended ({held.run.status}); stop and report nothing more.",
            current_fence_token=held.job.attempts,
        )


async def claim_run(work: Work, held: HeldRun) -> None:
    """The worker has its devices and takes the run; again is the same."""
    require_active(held)
    await renew_lease(work, held)
    if held.run.status == RunStatus.RUNNING:
        return
    check_run_transition(held.run.id, RunStatus(held.run.status), RunStatus.RUNNING)
    held.run.status, held.run.claimed_at = RunStatus.RUNNING.value, work.now
    set_status(work, held.job, JobStatus.RUNNING)
    held.job.started_at = held.job.started_at or work.now
    record_event(work, held.job, "started", {"run_id": held.run.id, "attempt": held.run.attempt})


async def renew_lease(work: Work, held: HeldRun) -> None:
    """A sign of life: the run's lease and its job's hold live on."""
    held.run.lease_expires_at, held.run.last_heartbeat_at = _lease(work), work.now
    await ledger.renew_hold(work, held.job.id)


async def end_run(work: Work, held: HeldRun, outcome: RunStatus, error: dict[str, Any] | None = None) -> None:
    """End a run once and decide what becomes of its job. Ending it again the same way changes nothing.

    Raises: IllegalTransition.
    """
    if held.run.status == outcome:
        return
    check_run_transition(held.run.id, RunStatus(held.run.status), outcome)
    held.run.status, held.run.ended_at = outcome.value, work.now
    stop = StopReason(held.job.stop_requested) if held.job.stop_requested else None
    after = decide_after_run(outcome, stop, attempts=held.job.attempts, max_attempts=work.settings.max_attempts)
    set_status(work, held.job, after.status)
    if after.status == JobStatus.PAUSED:
        held.job.pause_reason = held.job.stop_requested
    held.job.stop_requested = None
    held.job.error = (
        (error or {"code": outcome.value, "message": after.explanation}) if after.status == JobStatus.FAILED else None
    )
    record_event(
        work,
        held.job,
        f"run_{outcome.value}",
        {"run_id": held.run.id, "job_status": after.status.value, "explanation": after.explanation},
    )
    if after.status in TERMINAL:
        await ledger.settle_hold(work, held.job.id)
    else:
        held.job.remaining = await _estimate_remaining(work, held.job)
    await wake_dispatcher(work.session)


async def _estimate_remaining(work: Work, job: Job) -> dict[str, Any]:
    """What is left for the next run, which goes on from the last checkpoint."""
    checkpoint = await find_last_checkpoint(work, job.id)
    done = checkpoint.step if checkpoint else 0
    remaining = estimate_remaining(
        job.estimate,
        done_steps=done,
        trained_steps=max(done, (job.progress or {}).get("step", 0)),
        used_gpu_seconds=job.used_gpu_seconds,
    )
    return remaining.to_json(await contracts.get_contract(work, job.contract_id))


async def lose_run(work: Work, run_id: str, explanation: str) -> None:
    """End a run whose process is gone or silent: it is billed to its last heartbeat. An ended run stays as it is."""
    held = await _lock_run(work, run_id)
    if RunStatus(held.run.status) in RUN_ENDS:
        return
    error = {"code": "worker_lost", "message": explanation}
    await outbox.enqueue(work.session, pool=held.run.pool, kind="stop", run_id=run_id, now=work.now)
    await end_run(work, held, RunStatus.LOST, error)


async def lose_silent_run(work: Work, run_id: str) -> None:
    """End a run whose lease is over; one that has reported meanwhile stays as it is."""
    held = await _lock_run(work, run_id)
    if held.run.lease_expires_at <= work.now:
        await lose_run(work, run_id, "its heartbeats stopped")


async def list_silent_runs(work: Work) -> list[str]:
    """Active runs whose lease is over."""
    query = select(Run.id).where(Run.status.in_(("starting", "running")), Run.lease_expires_at <= work.now)
    return list((await work.session.scalars(query)).all())


async def list_active_runs(work: Work, pool: str) -> list[str]:
    query = select(Run.id).where(Run.status.in_(("starting", "running")), Run.pool == pool)
    return list((await work.session.scalars(query)).all())


async def extend_leases(work: Work, run_ids: list[str]) -> None:
    """After a restart of the broker: what its engine sees alive could not report meanwhile, and is not silent."""
    for run in await work.session.scalars(select(Run).where(Run.id.in_(run_ids)).with_for_update()):
        if RunStatus(run.status) not in RUN_ENDS:
            run.lease_expires_at = _lease(work)


async def find_last_checkpoint(work: Work, job_id: str) -> Checkpoint | None:
    """The most advanced checkpoint of any of the job's runs."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.job_id == job_id)
        .order_by(Checkpoint.step.desc(), Checkpoint.id.desc())
        .limit(1)
    )
    return (await work.session.scalars(query)).one_or_none()


async def find_checkpoint(work: Work, run_id: str, step: int) -> Checkpoint | None:
    query = select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)
    return (await work.session.scalars(query)).one_or_none()


async def list_checkpoints(work: Work, job_id: str) -> list[Checkpoint]:
    query = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.id.desc())
    return list((await work.session.scalars(query)).all())
