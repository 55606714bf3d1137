"""The intervals of a run that are kept: which there are, what lies beside new ones, and adding these."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select

from broker.jobs.locked_run import LockedRun
from broker.metering.evidence import Doubt, Span, Timeline
from broker.metering.model import UsageCloudEvent
from broker.metering.quarantine import list_quarantined
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
        await work.session.execute(insert(UsageEvent), [_row(work, locked, event) for event in events])


def _row(work: Work, locked: LockedRun, event: UsageCloudEvent) -> dict[str, Any]:
    data = event.data
    return {
        "run_id": locked.run.id,
        "sequence": data.sequence,
        "customer_id": locked.job.customer_id,
        "contract_id": locked.job.contract_id,
        "job_id": locked.job.id,
        "gpu_seconds": data.gpu_seconds,
        "tokens": data.tokens,
        "started_at": data.started_at,
        "ended_at": data.ended_at,
        "checkpoint_step": data.checkpoint_step,
        "event": event.to_json(),
        "received_at": work.now,
    }
