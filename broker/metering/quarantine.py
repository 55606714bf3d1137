"""Quarantine: usage that is not charged is kept as it came, for finance to decide, and told to all whom it concerns."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, insert, or_, select

from broker.jobs.events import record_event
from broker.jobs.locked_run import LockedRun
from broker.metering.evidence import Doubt
from broker.metering.model import UsageCloudEvent
from broker.metering.storing import EventRow, claim_keys, name_run_event
from broker.metering.tables import QuarantinedUsage
from broker.work import Work

SEQUENCES_TOLD = 100


@dataclass(frozen=True)
class QuarantineFilter:
    """Which usage in quarantine to list; None: of all."""

    customer_id: str | None = None
    contract_id: str | None = None
    job_id: str | None = None
    reason: str | None = None


async def quarantine_usage(
    work: Work, locked: LockedRun, events: Sequence[UsageCloudEvent], reasons: Mapping[int, Doubt]
) -> None:
    """Keep these intervals in quarantine, each for its reason, and tell the job's history of them."""
    if not events:
        return
    rows = [_row(work, locked, event, reasons[event.data.sequence]) for event in events]
    await claim_keys(work, [_key_row(row) for row in rows])
    await keep_in_quarantine(work, rows)
    facts = {
        "run_id": locked.run.id,
        "intervals": len(rows),
        "reasons": dict(Counter(row["reason"] for row in rows)),
        "sequences": sorted(reasons)[:SEQUENCES_TOLD],
    }
    record_event(work, locked.job, "usage_quarantined", facts)


def _key_row(row: EventRow) -> EventRow:
    told = {name: row[name] for name in ("source", "event_id", "customer_id", "event")}
    return told | {"ended_at": row["ended_at"].isoformat()}


async def keep_in_quarantine(work: Work, rows: Sequence[EventRow]) -> None:
    """Keep events in quarantine whose keys are taken. Each row has the columns of the table but the id."""
    await work.session.execute(insert(QuarantinedUsage), [{"id": work.new_id("qua")} | row for row in rows])


def _row(work: Work, locked: LockedRun, event: UsageCloudEvent, reason: Doubt) -> dict[str, Any]:
    data = event.data
    source, event_id = name_run_event(locked.run.id, data.sequence)
    return {
        "source": source,
        "event_id": event_id,
        "customer_id": locked.job.customer_id,
        "contract_id": locked.job.contract_id,
        "job_id": locked.job.id,
        "run_id": locked.run.id,
        "sequence": data.sequence,
        "reason": reason.value,
        "gpu_seconds": data.gpu_seconds,
        "tokens": data.tokens,
        "started_at": data.started_at,
        "ended_at": data.ended_at,
        "event": event.to_json(),
        "received_at": work.now,
    }


async def list_quarantined(work: Work, run_id: str, told: Collection[int], *, beyond: int) -> dict[int, Doubt]:
    """List a run's intervals in quarantine that have one of these numbers or a higher one than `beyond`, and why."""
    sequence = QuarantinedUsage.sequence
    asked = or_(sequence > beyond, sequence.in_(list(told)))
    query = select(sequence, QuarantinedUsage.reason).where(QuarantinedUsage.run_id == run_id, asked)
    rows = await work.session.execute(query)
    return {number: Doubt(reason) for number, reason in rows if number is not None}


def select_quarantined(chosen: QuarantineFilter) -> Select[QuarantinedUsage]:
    """Select the usage in quarantine that the actor sees."""
    query = select(QuarantinedUsage)
    for name, value in vars(chosen).items():
        if value is not None:
            query = query.where(getattr(QuarantinedUsage, name) == value)
    return query


async def count_quarantined(work: Work) -> dict[Doubt, int]:
    """Count the intervals of all customers in quarantine, by reason."""
    query = select(QuarantinedUsage.reason, func.count()).group_by(QuarantinedUsage.reason)
    counts = {Doubt(reason): count for reason, count in await work.session.execute(query)}
    return {reason: counts.get(reason, 0) for reason in Doubt}
