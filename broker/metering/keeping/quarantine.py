"""Quarantine: usage that is not charged is kept as it came, for finance to decide, and told to all whom it concerns."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, Text, bindparam, func, insert, select

from broker.jobs.events import record_event
from broker.jobs.running.locked_run import LockedRun
from broker.metering.events.evidence import Doubt
from broker.metering.events.model import UsageCloudEvent
from broker.metering.keeping.storing import EventRow, claim_keys, name_run_event
from broker.metering.tables import QuarantineDecision, QuarantinedUsage
from broker.persistence.driver import Command, Row, Statement
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Work

SEQUENCES_TOLD = 100
# Runs, and of each the number of an interval: to join what is kept of them from there on.
RUNS_FROM = (
    func.unnest(bindparam("runs", type_=ARRAY(Text)), bindparam("numbers", type_=ARRAY(BigInteger)))
    .table_valued("run_id", "number")
    .render_derived("told")
)
QUARANTINED_FROM = Statement(
    select(QuarantinedUsage.run_id, QuarantinedUsage.sequence, QuarantinedUsage.reason)
    .join(
        RUNS_FROM, (QuarantinedUsage.run_id == RUNS_FROM.c.run_id) & (QuarantinedUsage.sequence >= RUNS_FROM.c.number)
    )
    .where(is_seen(QuarantinedUsage.customer_id))
)


@dataclass(frozen=True)
class QuarantineFilter:
    """Which usage in quarantine to list; None: of all."""

    customer_id: str | None = None
    contract_id: str | None = None
    job_id: str | None = None
    reason: str | None = None


async def count_undecided(work: Work, until: datetime, most: int) -> tuple[int, list[str]]:
    """Count what is in quarantine of usage that began before a moment and waits for a decision; names the first."""
    decided = select(QuarantineDecision.quarantine_id).where(QuarantineDecision.quarantine_id == QuarantinedUsage.id)
    waiting = (QuarantinedUsage.started_at < until) & ~decided.exists()
    count = await work.session.scalar(select(func.count()).select_from(QuarantinedUsage).where(waiting))
    first = select(QuarantinedUsage.id).where(waiting).order_by(QuarantinedUsage.id).limit(most)
    return int(count or 0), list(await work.session.scalars(first))


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


def find_quarantined(lowest: Mapping[str, int], *, seen_by: Collection[str] | None) -> Command:
    """Make the command that finds the intervals of runs in quarantine, from a number of each run on."""
    asked = {"runs": list(lowest), "numbers": list(lowest.values()), SEEN_BY.key: seen_by}
    return Command(QUARANTINED_FROM, asked)


def read_quarantined(rows: Iterable[Row]) -> dict[str, dict[int, Doubt]]:
    """Read by run which intervals are in quarantine, and why, from the rows of `find_quarantined`."""
    quarantined: defaultdict[str, dict[int, Doubt]] = defaultdict(dict)
    for run_id, sequence, reason in rows:
        quarantined[run_id][sequence] = Doubt(reason)
    return quarantined


def select_quarantined(chosen: QuarantineFilter, status: str | None = None) -> Select[QuarantinedUsage]:
    """Select the usage in quarantine that the actor sees; `status`: with this decision, or `open` without any."""
    query = select(QuarantinedUsage)
    if status is not None:
        decided = select(QuarantineDecision).where(QuarantineDecision.quarantine_id == QuarantinedUsage.id)
        of_kind = decided.where(QuarantineDecision.decision == status).exists()
        query = query.where(~decided.exists() if status == "open" else of_kind)
    for name, value in vars(chosen).items():
        if value is not None:
            query = query.where(getattr(QuarantinedUsage, name) == value)
    return query


async def count_quarantined(work: Work) -> dict[Doubt, int]:
    """Count the intervals of all customers in quarantine, by reason."""
    query = select(QuarantinedUsage.reason, func.count()).group_by(QuarantinedUsage.reason)
    counts = {Doubt(reason): count for reason, count in await work.session.execute(query)}
    return {reason: counts.get(reason, 0) for reason in Doubt}
