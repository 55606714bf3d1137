"""The intervals of a run that are kept: which there are, what lies beside new ones, and adding these."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, DateTime, bindparam, literal_column, select, true

from broker.jobs.running.locked_run import LockedRun
from broker.metering.events.evidence import Doubt, Span, Timeline
from broker.metering.events.model import UsageCloudEvent, UsageData
from broker.metering.keeping.quarantine import RUNS_FROM, find_quarantined, read_quarantined
from broker.metering.keeping.storing import EventRow, command_events, name_run_event
from broker.metering.tables import UsageEvent
from broker.persistence.driver import Command, Row, Statement
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Work

# No clock of a machine that is believed is further off.
FURTHEST_OFF = timedelta(days=1)
LARGEST_NUMBER = 2**63 - 1
# Each run's are read by its number, whatever the planner believes of a month's new table: they are ordered within a
# run, and a number with two bounds is more telling than a time with two. By time it would be all that anybody used
# since the oldest of the runs began: more with each heartbeat.
SPANS_OF_RUN = (
    select(UsageEvent.sequence, UsageEvent.started_at, UsageEvent.ended_at)
    .where(
        UsageEvent.run_id == RUNS_FROM.c.run_id,
        UsageEvent.sequence.between(RUNS_FROM.c.number, literal_column(str(LARGEST_NUMBER), BigInteger)),
        is_seen(UsageEvent.customer_id),
        UsageEvent.ended_at.between(
            bindparam("since", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True))
        ),
    )
    .order_by(UsageEvent.run_id, UsageEvent.sequence)
    .lateral("span")
)
SPANS_FROM = Statement(
    select(RUNS_FROM.c.run_id, *SPANS_OF_RUN.c)
    .join(SPANS_OF_RUN, true())
    .order_by(RUNS_FROM.c.run_id, SPANS_OF_RUN.c.sequence),
    planned_once=True,
)


ToldUsage = tuple[LockedRun, Sequence[UsageCloudEvent]]


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


def find_kept(told: Sequence[ToldUsage], *, seen_by: Collection[str] | None, now: datetime) -> list[Command]:
    """Make the commands that find what is kept of runs, as far as it matters for what is told; see `read_kept`.

    All of it was used while the runs lived, so that most months are not looked into.
    """
    runs = {locked.run.id: locked.run.acknowledged_sequence for locked, _events in told}
    lowest = {run_id: acknowledged + 1 for run_id, acknowledged in runs.items()}
    for locked, events in told:
        lowest[locked.run.id] = min([lowest[locked.run.id], *(event.data.sequence for event in events)])
    began = min(locked.run.created_at for locked, _events in told)
    asked = {
        "runs": list(runs),
        "numbers": list(runs.values()),
        "since": began - FURTHEST_OFF,
        "until": now + FURTHEST_OFF,
        SEEN_BY.key: seen_by,
    }
    return [Command(SPANS_FROM, asked), find_quarantined(lowest, seen_by=seen_by)]


async def read_kept(
    works: Mapping[str, Work], told: Sequence[ToldUsage], found: Sequence[Sequence[Row]]
) -> dict[str, KeptIntervals]:
    """Read what is kept of runs from the rows of `find_kept`; `works` are the units of work by customer."""
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for run_id, *span in found[0]:
        spans[run_id].append(Span(*span))
    quarantined = read_quarantined(found[1])
    return {
        locked.run.id: KeptIntervals(
            locked.run.acknowledged_sequence,
            Timeline(await _complete_spans(works[locked.run.customer_id], locked, spans[locked.run.id])),
            quarantined.get(locked.run.id, {}),
        )
        for locked, _events in told
    }


async def read_neighbours(work: Work, run_id: str, sequence: int) -> Timeline:
    """Read the charged intervals of a run whose numbers come before and after this one."""
    number = UsageEvent.sequence
    own = select(number, UsageEvent.started_at, UsageEvent.ended_at).where(UsageEvent.run_id == run_id)
    before = await work.session.execute(own.where(number < sequence).order_by(number.desc()).limit(1))
    after = await work.session.execute(own.where(number > sequence).order_by(number).limit(1))
    return Timeline([Span(*row) for row in (*before, *after)])


async def _complete_spans(work: Work, locked: LockedRun, spans: list[Span]) -> list[Span]:
    """Complete the spans of a run from the acknowledged one on by the last before it, were that one quarantined."""
    acknowledged = locked.run.acknowledged_sequence
    if acknowledged < 0 or (spans and spans[0].sequence == acknowledged):
        return spans
    return [*await _read_last_before(work, locked.run.id, acknowledged), *spans]


async def _read_last_before(work: Work, run_id: str, acknowledged: int) -> list[Span]:
    """Read the last charged interval before one that was quarantined; without statistics the look is dear."""
    spans = select(UsageEvent.sequence, UsageEvent.started_at, UsageEvent.ended_at).where(UsageEvent.run_id == run_id)
    earlier = spans.where(UsageEvent.sequence < acknowledged).order_by(UsageEvent.sequence.desc()).limit(1)
    return [Span(*row) for row in await work.session.execute(earlier)]


def command_intervals(events: Sequence[tuple[LockedRun, UsageCloudEvent]], moment: datetime) -> list[Command]:
    """Make the commands that store new intervals of runs as they were reported; they were received at this moment."""
    return command_events([_row(locked, event, moment) for locked, event in events], claimed=False)


def _row(locked: LockedRun, event: UsageCloudEvent, moment: datetime) -> EventRow:
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
        "received_at": moment.isoformat(),
    }
