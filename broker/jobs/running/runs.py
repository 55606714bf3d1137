"""The life of a run once it is started: claimed by its worker, kept alive by heartbeats, ended once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, bindparam, or_, select, text

from broker.capacity.readiness import note_failed_start
from broker.jobs.events import record_event
from broker.jobs.rules.model import (
    MAKES_WAY,
    RUN_ENDS,
    TERMINAL,
    AfterRun,
    JobStatus,
    RunStatus,
    StopReason,
    check_job_transition,
    check_run_transition,
    decide_after_run,
    decide_cause,
    goes_first_after,
    is_counted,
)
from broker.jobs.rules.remaining import Remaining, estimate_remaining
from broker.jobs.running.checkpoints import find_last_checkpoint
from broker.jobs.running.locked_run import LockedRun, lock_any_run, require_active
from broker.jobs.running.lost_work import MAY_LOSE_WORK, bear_lost_work, bear_unusable_checkpoint
from broker.jobs.running.type_of_run import count_usage_as_on
from broker.jobs.service import set_status
from broker.jobs.tables import ACTIVE_RUN, Run
from broker.ledger import service as ledger
from broker.ledger.books.causes import Cause
from broker.persistence import outbox
from broker.persistence.database import wake_dispatcher
from broker.persistence.driver import Command, Statement
from broker.work import Work
from pricing.usage import Usage

ACTIVE_RUNS = Statement(
    select(Run.id).where(text(f"runs.{ACTIVE_RUN}"), Run.agent_id == bindparam("agent_id", type_=Text))
)


def compute_lease(work: Work) -> datetime:
    """Compute when a run is silent that is heard of now, and not again."""
    return work.now + timedelta(seconds=work.settings.lease_seconds)


def claim_run(work: Work, locked: LockedRun) -> bool:
    """Give the run to its worker, which has its devices; claiming it again changes nothing.

    Tells whether it is claimed for the first time: then its pool's starts are good (`command_good_starts`).
    Raises: StaleFenceToken.
    """
    require_active(locked)
    renew_lease(work, locked)
    if locked.run.status == RunStatus.RUNNING:
        return False
    check_run_transition(locked.run.id, RunStatus(locked.run.status), RunStatus.RUNNING)
    locked.run.status, locked.run.claimed_at = RunStatus.RUNNING.value, work.now
    set_status(work, locked.job, JobStatus.RUNNING)
    locked.job.started_at = locked.job.started_at or work.now
    record_event(work, locked.job, "started", {"run_id": locked.run.id, "attempt": locked.run.attempt})
    return True


def renew_lease(work: Work, locked: LockedRun) -> None:
    """Renew a run's lease at a sign of life. The hold of its job is renewed by the ledger, not here."""
    locked.run.lease_expires_at, locked.run.last_heartbeat_at = compute_lease(work), work.now


def report_progress(locked: LockedRun, progress: dict[str, Any]) -> None:
    """Note how far a run's training is: step, total_steps, epoch, loss and so on."""
    locked.job.progress = progress


def note_usage(locked: LockedRun, usage: Usage, *, acknowledged: int) -> None:
    """Note what more a run has used, and up to which number all of its intervals are kept."""
    run = locked.run
    run.used_gpu_seconds += usage.gpu_seconds
    run.used_tokens += usage.tokens
    run.acknowledged_sequence = acknowledged


@dataclass(frozen=True)
class Ending:
    """Why a run ends, whether it counts as one of its job's attempts, and what becomes of the job."""

    cause: Cause
    is_counted: bool
    after: AfterRun


def decide_ending(work: Work, locked: LockedRun, outcome: RunStatus, error: dict[str, Any] | None = None) -> Ending:
    """Decide what an end of a locked run that may still report makes of it and its job. Raises: IllegalTransition."""
    run, job = locked.run, locked.job
    check_run_transition(run.id, RunStatus(run.status), outcome)
    stop = StopReason(job.stop_requested) if job.stop_requested else None
    code = None if error is None else error["code"]
    cause = decide_cause(outcome, stop, was_claimed=run.claimed_at is not None, error_code=code)
    counted = is_counted(cause, uncounted=job.uncounted_attempts, made_way=stop in MAKES_WAY)
    attempts = job.attempts - job.uncounted_attempts - (0 if counted else 1)
    most = work.settings.max_attempts
    after = decide_after_run(outcome, stop, attempts=attempts, max_attempts=most, error_code=code)
    check_job_transition(job.id, JobStatus(job.status), after.status)
    return Ending(cause, counted, after)


def is_for_good(ending: Ending) -> bool:
    """Tell whether the job is over, and the house bears nothing of it: there is nothing left but to settle it."""
    return ending.after.status in TERMINAL and ending.cause not in MAY_LOSE_WORK


def note_ending(
    work: Work, locked: LockedRun, outcome: RunStatus, ending: Ending, error: dict[str, Any] | None = None
) -> None:
    """Note on a locked run and its job how it ended."""
    run, job, after = locked.run, locked.job, ending.after
    run.status, run.cause, run.ended_at = outcome.value, ending.cause.value, work.now
    if not ending.is_counted:
        job.uncounted_attempts += 1
    set_status(work, job, after.status)
    stop = None if job.stop_requested is None else StopReason(job.stop_requested)
    if after.status == JobStatus.QUEUED and goes_first_after(ending.cause, stop):
        job.expedited_at = work.now
    if after.status == JobStatus.PAUSED:
        job.pause_reason = job.stop_requested
    job.stop_requested = None
    failed = after.status == JobStatus.FAILED
    job.error = (error or {"code": outcome.value, "message": after.explanation}) if failed else None
    facts = {
        "run_id": run.id,
        "cause": ending.cause.value,
        "job_status": after.status.value,
        "explanation": after.explanation,
    }
    record_event(work, job, f"run_{outcome.value}", facts)


async def end_run(work: Work, locked: LockedRun, outcome: RunStatus, error: dict[str, Any] | None = None) -> None:
    """End a run once and decide what becomes of its job. Ending it again the same way changes nothing.

    Raises: IllegalTransition.
    """
    job = locked.job
    if locked.run.status == outcome:
        return
    ending = decide_ending(work, locked, outcome, error)
    note_ending(work, locked, outcome, ending, error)
    if ending.cause == Cause.CHECKPOINT_UNUSABLE:
        await bear_unusable_checkpoint(work, locked)
    await bear_lost_work(work, locked)
    if ending.after.status in TERMINAL:
        await ledger.settle_hold(work, job.id)
    else:
        job.remaining = await _estimate_remaining(work, locked)
    await wake_dispatcher(work.session)


async def _estimate_remaining(work: Work, locked: LockedRun) -> Remaining:
    """Estimate what is left for the next run, which goes on from the last checkpoint, were it on the same type."""
    job = locked.job
    checkpoint = await find_last_checkpoint(work, job.id)
    done = checkpoint.step if checkpoint else 0
    return estimate_remaining(
        job.estimate,
        await ledger.price_further_usage(work, job.id, locked.run.gpu_type),
        done_steps=done,
        trained_steps=max(done, (job.progress or {}).get("step", 0)),
        used_gpu_seconds=await count_usage_as_on(work, job, locked.run.gpu_type),
    )


async def lose_run(work: Work, run_id: str, explanation: str, *, code: str = "worker_lost") -> None:
    """End a run whose process is gone or silent: it is billed to its last heartbeat. An ended run stays as it is.

    One that no worker has claimed yet is a failed start: its pool rests, so that it fails no others, too. Where its
    machine is down by the word of ops, which `code` then says, it is none.
    """
    locked = await lock_any_run(work, run_id)
    if RunStatus(locked.run.status) in RUN_ENDS:
        return
    error = {"code": code, "message": explanation}
    await outbox.enqueue(work.session, recipient=locked.run.recipient, kind="stop", run_id=run_id, now=work.now)
    await end_run(work, locked, RunStatus.LOST, error)
    if locked.run.cause == Cause.LAUNCH_FAILED:
        await note_failed_start(work, locked.run.pool, explanation)


async def list_runs_on(work: Work, pool: str, nodes: Collection[str]) -> list[str]:
    """List the active runs on machines of a pool, by their names; a pool that is one machine has its own name."""
    on_node = Run.node.in_(nodes)
    query = select(Run.id).where(Run.status.in_(("starting", "running")), Run.pool == pool)
    query = query.where(or_(on_node, Run.node.is_(None)) if pool in nodes else on_node).order_by(Run.id)
    return list((await work.session.scalars(query)).all())


async def lose_silent_run(work: Work, run_id: str) -> None:
    """End a run whose lease is over; one that has reported meanwhile stays as it is."""
    locked = await lock_any_run(work, run_id)
    if locked.run.lease_expires_at <= work.now:
        await lose_run(work, run_id, "its heartbeats stopped")


async def list_silent_runs(work: Work) -> list[str]:
    """List active runs whose lease is over; the active ones are as few as devices, and found by an index."""
    query = select(Run.id).where(Run.status.in_(("starting", "running")), Run.lease_expires_at <= work.now)
    return list((await work.session.scalars(query)).all())


async def give_back_run(work: Work, run_id: str) -> None:
    """End a run whose agent shuts down before its worker has reported an end, or before it was launched.

    Its job is queued again, and goes on from the last checkpoint. An ended run stays as it is.
    """
    locked = await lock_any_run(work, run_id)
    if RunStatus(locked.run.status) not in RUN_ENDS:
        error = {"code": Cause.SHUTDOWN.value, "message": "its agent shut down"}
        await end_run(work, locked, RunStatus.PREEMPTED, error)


async def list_active_runs(work: Work, agent_id: str) -> list[str]:
    """List the runs of an agent that hold devices or are about to."""
    (rows,) = await work.run_together([find_active_runs(agent_id)])
    return [run_id for (run_id,) in rows]


def find_active_runs(agent_id: str) -> Command:
    """Make the command that finds the ids of the runs of an agent that hold devices or are about to."""
    return Command(ACTIVE_RUNS, {"agent_id": agent_id})


async def list_unowned_runs(work: Work, pool: str) -> list[str]:
    """List the active runs of a pool that are no agent's: an earlier release started them, or the pool had none."""
    query = select(Run.id).where(Run.status.in_(("starting", "running")), Run.agent_id.is_(None), Run.pool == pool)
    return list((await work.session.scalars(query)).all())


async def own_runs(work: Work, run_ids: list[str], agent_id: str) -> None:
    """Make runs of no agent the runs of one: of whoever sees them alive, or is about to launch them."""
    if not run_ids:
        return
    for run in await work.session.scalars(select(Run).where(Run.id.in_(run_ids)).with_for_update()):
        run.agent_id = run.agent_id or agent_id


async def find_ends(work: Work, run_ids: Sequence[str]) -> dict[str, datetime | None]:
    """Find when runs ended: None for one that has not, and nothing for one that there is not."""
    query = select(Run.id, Run.ended_at).where(Run.id.in_(run_ids))
    return dict((await work.session.execute(query)).all())


async def extend_leases(work: Work, run_ids: list[str]) -> None:
    """Extend leases after a restart of the broker: what its engine sees alive could not report, and is not silent."""
    for run in await work.session.scalars(select(Run).where(Run.id.in_(run_ids)).with_for_update()):
        if RunStatus(run.status) not in RUN_ENDS:
            run.lease_expires_at = compute_lease(work)
