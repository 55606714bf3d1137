"""The intervals of a run that are kept: which there are, what lies beside new ones, and adding these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from broker.jobs.locked_run import LockedRun
from broker.metering.evidence import Doubt, Span, Timeline
from broker.metering.model import UsageCloudEvent, UsageData
from broker.metering.quarantine import RUNS_FROM, list_quarantined
from broker.metering.storing import EventRow, claim_keys, name_run_event, store_events
from broker.metering.tables import UsageEvent
from broker.persistence.driver import Query
from broker.persistence.tenancy import owns
from broker.work import Work

SPANS_FROM = Query(
    select(UsageEvent.run_id, UsageEvent.sequence, UsageEvent.started_at, UsageEvent.ended_at)
    .join(RUNS_FROM, (UsageEvent.run_id == RUNS_FROM.c.run_id) & (UsageEvent.sequence >= RUNS_FROM.c.number))
    .where(owns(UsageEvent.customer_id))
    .order_by(UsageEvent.run_id, UsageEvent.sequence)
)


@dataclass
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

    def add(self, believed: Iterable[UsageData], doubted: Mapping[int, Doubt]) -> None:
        """Add new intervals: those that are charged, and those in quarantine."""
        for data in believed:
            self.timeline.add(Span(data.sequence, data.started_at, data.ended_at))
        self.quarantined |= doubted
        beyond = self.timeline.sequences | self.quarantined.keys()
        while self.acknowledged + 1 in beyond:
            self.acknowledged += 1


async def read_kept(
    work: Work, told: Iterable[tuple[LockedRun, Sequence[UsageCloudEvent]]]
) -> dict[str, KeptIntervals]:
    """Read what is kept of runs, as far as it matters for the intervals that are told of them."""
    runs = {locked.run.id: locked.run.acknowledged_sequence for locked, _events in told}
    lowest = {run_id: acknowledged + 1 for run_id, acknowledged in runs.items()}
    for locked, events in told:
        lowest[locked.run.id] = min([lowest[locked.run.id], *(event.data.sequence for event in events)])
    spans = await _read_spans(work, runs)
    quarantined = await list_quarantined(work, lowest)
    return {
        run_id: KeptIntervals(acknowledged, Timeline(spans[run_id]), quarantined[run_id])
        for run_id, acknowledged in runs.items()
    }


async def read_neighbours(work: Work, run_id: str, sequence: int) -> Timeline:
    """Read the charged intervals of a run whose numbers come before and after this one."""
    number = UsageEvent.sequence
    own = select(number, UsageEvent.started_at, UsageEvent.ended_at).where(UsageEvent.run_id == run_id)
    before = await work.session.execute(own.where(number < sequence).order_by(number.desc()).limit(1))
    after = await work.session.execute(own.where(number > sequence).order_by(number).limit(1))
    return Timeline([Span(*row) for row in (*before, *after)])


async def _read_spans(work: Work, runs: Mapping[str, int]) -> dict[str, list[Span]]:
    """Read by run the spans of intervals from the acknowledged one on, and the last before it, were it quarantined."""
    spans: dict[str, list[Span]] = {run_id: [] for run_id in runs}
    for row in await work.fetch(SPANS_FROM, runs=list(runs), numbers=list(runs.values())):
        spans[row.run_id].append(Span(row.sequence, row.started_at, row.ended_at))
    for run_id, acknowledged in runs.items():
        if acknowledged >= 0 and not (spans[run_id] and spans[run_id][0].sequence == acknowledged):
            spans[run_id] = [*await _read_last_before(work, run_id, acknowledged), *spans[run_id]]
    return spans


async def _read_last_before(work: Work, run_id: str, acknowledged: int) -> list[Span]:
    """Read the last charged interval before one that was quarantined; without statistics the look is dear."""
    spans = select(UsageEvent.sequence, UsageEvent.started_at, UsageEvent.ended_at).where(UsageEvent.run_id == run_id)
    earlier = spans.where(UsageEvent.sequence < acknowledged).order_by(UsageEvent.sequence.desc()).limit(1)
    return [Span(*row) for row in await work.session.execute(earlier)]


async def store_intervals(work: Work, events: Sequence[tuple[LockedRun, UsageCloudEvent]]) -> None:
    """Store new intervals of runs as they were reported."""
    if events:
        rows = [_row(work, locked, event) for locked, event in events]
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
        "labels": job.labels,
        "gpu_seconds": data.gpu_seconds,
        "tokens": data.tokens,
        "started_at": data.started_at.isoformat(),
        "ended_at": data.ended_at.isoformat(),
        "checkpoint_step": data.checkpoint_step,
        "event": event.to_json(),
        "received_at": work.now.isoformat(),
    }
