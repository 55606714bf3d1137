"""The intervals of a run that are kept: which there are, what lies beside new ones, and adding these."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from broker.jobs.locked_run import LockedRun
from broker.metering.evidence import Doubt, Span, Timeline
from broker.metering.model import UsageCloudEvent
from broker.metering.quarantine import list_quarantined
from broker.metering.storing import EventRow, claim_keys, name_run_event, store_events
from broker.metering.tables import UsageEvent
from broker.work import Work


@dataclass(frozen=True)
class KeptIntervals:
    """What is kept of a run: all numbers up to `acknowledged`, and those beyond the first gap.

    `timeline` has the last charged interval before that gap and all beyond it; `quarantined` those beyond it and those
    that were asked for.
    """

    acknowledged: int
    timeline: Timeline
    quarantined: dict[int, Doubt]

    def has(self, sequence: int) -> bool:
        return sequence <= self.acknowledged or sequence in self.quarantined or sequence in self.timeline.sequences

    def acknowledge(self, new: Collection[int]) -> int:
        """Compute up to which number every interval is kept, once the new ones are, too."""
        acknowledged, kept = self.acknowledged, {*self.timeline.sequences, *self.quarantined, *new}
        while acknowledged + 1 in kept:
            acknowledged += 1
        return acknowledged


async def read_kept(work: Work, locked: LockedRun, told: Collection[int]) -> KeptIntervals:
    """Read what is kept of a run, as far as it matters for intervals with the numbers that were told."""
    acknowledged = locked.run.acknowledged_sequence
    spans = select(UsageEvent.sequence, UsageEvent.started_at, UsageEvent.ended_at).where(
        UsageEvent.run_id == locked.run.id
    )
    kept = await _read_spans(work, spans.where(UsageEvent.sequence >= acknowledged).order_by(UsageEvent.sequence))
    if not kept or kept[0].sequence > acknowledged:  # that one was quarantined; without statistics the look is dear
        earlier = spans.where(UsageEvent.sequence < acknowledged).order_by(UsageEvent.sequence.desc()).limit(1)
        kept = [*await _read_spans(work, earlier), *kept]
    quarantined = await list_quarantined(work, locked.run.id, told, beyond=acknowledged)
    return KeptIntervals(acknowledged, Timeline(kept), quarantined)


async def _read_spans(work: Work, query: Select[int, datetime, datetime]) -> list[Span]:
    return [Span(*row) for row in await work.session.execute(query)]


async def store_intervals(work: Work, locked: LockedRun, events: Sequence[UsageCloudEvent]) -> None:
    """Store new intervals of a run as they were reported."""
    if events:
        rows = [_row(work, locked, event) for event in events]
        await claim_keys(work, rows)
        await store_events(work, rows)


def _row(work: Work, locked: LockedRun, event: UsageCloudEvent) -> EventRow:
    data, job = event.data, locked.job
    source, event_id = name_run_event(locked.run.id, data.sequence)
    return {
        "source": source,
        "event_id": event_id,
        "run_id": locked.run.id,
        "sequence": data.sequence,
        "customer_id": job.customer_id,
        "contract_id": job.contract_id,
        "project_id": job.project_id,
        "job_id": job.id,
        "gpu_type": locked.run.gpu_type,
        "labels": {},
        "gpu_seconds": data.gpu_seconds,
        "tokens": data.tokens,
        "started_at": data.started_at.isoformat(),
        "ended_at": data.ended_at.isoformat(),
        "checkpoint_step": data.checkpoint_step,
        "event": event.to_json(),
        "received_at": work.now.isoformat(),
    }
