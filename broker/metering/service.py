"""Metering: intervals are stored once, and charged to the job's hold in the same transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from broker.jobs.locked_run import LockedRun
from broker.jobs.runs import acknowledge_usage
from broker.jobs.service import add_usage
from broker.ledger import service as ledger
from broker.metering.model import UsageCloudEvent, check_event, next_acknowledged
from broker.metering.tables import UsageEvent
from broker.work import Work
from pricing.usage import Usage


async def record_usage(work: Work, locked: LockedRun, events: Sequence[UsageCloudEvent]) -> ledger.HoldView | None:
    """Store and charge the intervals that are new; those stored before change nothing.

    The caller holds the locks of the run and its job. Returns the job's hold, locked, where something was charged to
    it, so that it need not be read again. Raises: InvalidRequest.
    """
    for event in events:
        check_event(event, run_id=locked.run.id, gpus=locked.run.gpus)
    new = [
        event for event in sorted(events, key=lambda event: event.data.sequence) if await _store(work, locked, event)
    ]
    hold = await _charge(work, locked, new) if new else None
    if events:
        acknowledge_usage(locked, await _read_acknowledged(work, locked))
    return hold


async def _store(work: Work, locked: LockedRun, event: UsageCloudEvent) -> bool:
    row = {
        "run_id": locked.run.id,
        "sequence": event.data.sequence,
        "customer_id": locked.job.customer_id,
        "contract_id": locked.job.contract_id,
        "job_id": locked.job.id,
        "gpu_seconds": event.data.gpu_seconds,
        "tokens": event.data.tokens,
        "started_at": event.data.started_at,
        "ended_at": event.data.ended_at,
        "checkpoint_step": event.data.checkpoint_step,
        "event": event.to_json(),
        "received_at": work.now,
    }
    stored = await work.session.execute(
        insert(UsageEvent).values(row).on_conflict_do_nothing().returning(UsageEvent.sequence)
    )
    return stored.first() is not None


async def _charge(work: Work, locked: LockedRun, events: Sequence[UsageCloudEvent]) -> ledger.HoldView:
    job = locked.job
    hold = await ledger.lock_hold(work, job.id)
    intervals = [event.to_interval() for event in events]
    captured = await ledger.capture_usage(work, hold, intervals, promise=job.promise)
    usage = sum((interval.usage for interval in intervals), Usage())
    add_usage(job, usage, cost=captured.cost, borne=captured.borne)
    return hold


async def _read_acknowledged(work: Work, locked: LockedRun) -> int:
    acknowledged = locked.run.acknowledged_sequence
    query = select(UsageEvent.sequence).where(UsageEvent.run_id == locked.run.id, UsageEvent.sequence > acknowledged)
    return next_acknowledged(acknowledged, set((await work.session.scalars(query)).all()))


async def list_usage(work: Work, job_id: str) -> list[UsageEvent]:
    """List the intervals of a job, run by run."""
    query = select(UsageEvent).where(UsageEvent.job_id == job_id).order_by(UsageEvent.run_id, UsageEvent.sequence)
    return list((await work.session.scalars(query)).all())
