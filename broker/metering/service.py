"""Metering: intervals are stored once, and charged to the job's hold in the same transaction."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from broker.jobs.limits import find_ceiling
from broker.jobs.runs import HeldRun
from broker.ledger import service as ledger
from broker.metering.model import UsageCloudEvent, check_event, next_acknowledged
from broker.metering.tables import UsageEvent
from broker.work import Work


async def record_usage(work: Work, held: HeldRun, events: Sequence[UsageCloudEvent]) -> None:
    """Store and charge the intervals that are new; those stored before change nothing.

    The caller holds the locks of the run and its job. Raises: InvalidRequest.
    """
    for event in events:
        check_event(event, run_id=held.run.id, gpus=held.run.gpus)
    for event in sorted(events, key=lambda event: event.data.sequence):
        if await _store(work, held, event):
            await _charge(work, held, event)
    if events:
        held.run.acknowledged_sequence = await _acknowledge(work, held)


async def _store(work: Work, held: HeldRun, event: UsageCloudEvent) -> bool:
    row = {
        "run_id": held.run.id,
        "sequence": event.data.sequence,
        "customer_id": held.job.customer_id,
        "contract_id": held.job.contract_id,
        "job_id": held.job.id,
        "gpu_seconds": event.data.gpu_seconds,
        "tokens": event.data.tokens,
        "started_at": event.data.started_at,
        "ended_at": event.data.ended_at,
        "event": event.to_json(),
        "received_at": work.now,
    }
    stored = await work.session.execute(
        insert(UsageEvent).values(row).on_conflict_do_nothing().returning(UsageEvent.sequence)
    )
    return stored.first() is not None


async def _charge(work: Work, held: HeldRun, event: UsageCloudEvent) -> None:
    data, job = event.data, held.job
    interval = ledger.Interval(held.run.id, data.sequence, data.gpu_seconds, data.tokens, data.ended_at)
    view = await ledger.capture_usage(work, job.id, interval, ceiling=find_ceiling(job))
    job.used_gpu_seconds += data.gpu_seconds
    job.used_tokens += data.tokens
    job.cost_micros, job.borne_micros = view.cost_so_far().micros, view.borne_so_far().micros


async def _acknowledge(work: Work, held: HeldRun) -> int:
    query = select(UsageEvent.sequence).where(
        UsageEvent.run_id == held.run.id, UsageEvent.sequence > held.run.acknowledged_sequence
    )
    return next_acknowledged(held.run.acknowledged_sequence, set((await work.session.scalars(query)).all()))


async def list_usage(work: Work, job_id: str) -> list[UsageEvent]:
    """The intervals of a job, run by run."""
    query = select(UsageEvent).where(UsageEvent.job_id == job_id).order_by(UsageEvent.run_id, UsageEvent.sequence)
    return list((await work.session.scalars(query)).all())
