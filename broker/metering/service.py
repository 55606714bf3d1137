"""Metering: usage is taken by one function, whatever door it comes by: judged, stored or quarantined, and charged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.jobs.rules.limits import has_reached_limit
from broker.jobs.rules.model import RUN_ENDS, RunStatus, StopReason
from broker.jobs.running.control import request_stop
from broker.jobs.running.locked_run import LockedRun
from broker.jobs.running.lost_work import bear_lost_work, list_lost, note_marks
from broker.jobs.running.runs import note_usage
from broker.jobs.service import add_usage
from broker.ledger import service as ledger
from broker.metering.events.evidence import Doubt, RunLife, judge_intervals
from broker.metering.events.model import UsageCloudEvent, check_subject
from broker.metering.keeping.intervals import (
    KeptIntervals,
    ToldUsage,
    command_intervals,
    find_kept,
    read_kept,
    read_neighbours,
)
from broker.metering.keeping.quarantine import quarantine_usage
from broker.persistence.driver import Command
from broker.work import Work, list_seen, run_for_all
from pricing.usage import Usage


@dataclass(frozen=True)
class TakenUsage:
    """What became of reported usage. `hold` is the job's, locked, where something was charged to it.

    `quarantined` are those of the reported intervals that are in quarantine, now or since an earlier report, and why;
    `new` those that were not known before.
    """

    hold: ledger.HoldView | None
    quarantined: dict[int, Doubt]
    new: frozenset[int] = frozenset()


async def take_usage(work: Work, locked: LockedRun, events: Sequence[UsageCloudEvent]) -> TakenUsage:
    """Take the intervals that are new, and decide whether the run must stop; those told before change nothing.

    The caller holds the locks of the run and its job. Raises: InvalidRequest.
    """
    for event in events:
        check_subject(event, locked.run.id)
    intake = await open_intake({locked.job.customer_id: work}, [(locked, events)])
    taken = await intake.take(locked, events)
    await intake.write()
    if events and has_ended(locked):
        await bear_lost_work(work, locked)
    return taken


@dataclass(frozen=True)
class Intake:
    """Usage of several runs that is taken together: read once, judged and charged run by run, written once.

    What the broker believes is stored and charged, the rest is quarantined. `works` are the units of work by customer,
    all in one transaction; `kept` is by run; `locked` are the holds, None where no run has usage.
    """

    works: Mapping[str, Work]
    kept: Mapping[str, KeptIntervals]
    locked: ledger.LockedHolds | None
    believed: list[tuple[LockedRun, UsageCloudEvent]] = field(default_factory=list)

    async def take(self, locked: LockedRun, events: Sequence[UsageCloudEvent]) -> TakenUsage:
        """Take the new intervals of a run, and decide whether it must stop."""
        taken = await self._take(locked, events) if events else TakenUsage(None, {})
        if not has_ended(locked):
            await stop_where_nothing_is_left(self.works[locked.job.customer_id], locked, taken.hold)
        return taken

    @property
    def holds(self) -> Mapping[str, ledger.HoldView]:
        """The locked holds, by job."""
        return {} if self.locked is None else self.locked.views

    async def write(self) -> None:
        """Write what was taken, all together."""
        await run_for_all(self.works.values(), await self.command_writes())

    async def command_writes(self) -> list[Command]:
        """Make the commands that write what was taken, once, after what the session has new."""
        stored = command_intervals(self.believed, next(iter(self.works.values())).now) if self.believed else []
        self.believed.clear()
        return stored if self.locked is None else [*stored, *await self.locked.command_writes()]

    async def _take(self, locked: LockedRun, events: Sequence[UsageCloudEvent]) -> TakenUsage:
        told = {event.data.sequence: event for event in reversed(events)}  # the first telling of a number counts
        work = self.works[locked.job.customer_id]
        kept, life = self.kept[locked.run.id], describe_life(work, locked)
        new = [event for sequence, event in sorted(told.items()) if not kept.has(sequence)]
        doubted = judge_intervals([event.data for event in new], kept.timeline, life)
        believed = [event for event in new if event.data.sequence not in doubted]
        hold = self.holds[locked.job.id] if believed else None
        await note_marks(work, locked, _list_marks(new))
        if hold is not None and has_ended(locked):
            lost = await list_lost(work, locked, [event.data.sequence for event in believed])
            theirs = [event for event in believed if event.data.sequence not in lost]
            doubted |= await _find_unpaid(work, hold, theirs, life)
            believed = [event for event in new if event.data.sequence not in doubted]
        await quarantine_usage(work, locked, [told[sequence] for sequence in doubted], doubted)
        if hold is not None and believed:
            await self.charge(locked, hold, believed, life)
        kept.add([event.data for event in believed], doubted)
        note_usage(locked, sum_usage(believed), acknowledged=kept.acknowledged)
        quarantined = {number: kept.quarantined[number] for number in sorted(told) if number in kept.quarantined}
        return TakenUsage(hold, quarantined, frozenset(event.data.sequence for event in new))

    async def charge(
        self, locked: LockedRun, hold: ledger.HoldView, events: Sequence[UsageCloudEvent], life: RunLife
    ) -> None:
        """Charge intervals that are believed; they are stored when all is written."""
        job = locked.job
        intervals = [event.to_interval(life.clip(event.data.ended_at)) for event in events]
        captured = await ledger.charge_usage(self.works[job.customer_id], hold, intervals, promise=job.promise)
        add_usage(job, sum_usage(events), captured)
        self.believed.extend((locked, event) for event in events)


async def open_intake(works: Mapping[str, Work], told: Sequence[ToldUsage]) -> Intake:
    """Lock the holds and contracts of all these jobs, if any has usage, and read what is kept of their runs.

    `works` are the units of work by customer, in one transaction, which holds the locks of the runs and their jobs.
    """
    if not any(events for _run, events in told):
        return Intake(works, {}, None)
    return await lock_intake(works, told)


async def lock_intake(works: Mapping[str, Work], told: Sequence[ToldUsage]) -> Intake:
    """Do as `open_intake` does, also where none has usage. Raises: NotFound, where a job has no hold."""
    gpu_types = {locked.job.id: locked.run.gpu_type for locked, _events in told}
    seen_by = list_seen(works.values())
    finding = find_kept(told, seen_by=seen_by, now=next(iter(works.values())).now)
    found = await run_for_all(works.values(), [*ledger.lock_charged_holds(gpu_types, seen_by=seen_by), *finding])
    kept = await read_kept(works, told, found[-len(finding) :])
    return Intake(works, kept, await ledger.read_charged_holds(works, gpu_types, found[: -len(finding)]))


async def judge_again(work: Work, locked: LockedRun, event: UsageCloudEvent) -> Doubt | None:
    """Judge an interval in quarantine by what is known now; one that is believed is stored and charged.

    Returns why it is not. The caller holds the locks of the run and its job.
    """
    intake = await open_intake({locked.job.customer_id: work}, [(locked, [event])])
    hold, life = intake.holds[locked.job.id], describe_life(work, locked)
    doubted = judge_intervals([event.data], await read_neighbours(work, locked.run.id, event.data.sequence), life)
    if not doubted and has_ended(locked):
        doubted = await _find_unpaid(work, hold, [event], life)
    if doubted:
        return doubted[event.data.sequence]
    await intake.charge(locked, hold, [event], life)
    note_usage(locked, event.data.usage, acknowledged=locked.run.acknowledged_sequence)
    await intake.write()
    if has_ended(locked):
        await bear_lost_work(work, locked)
    return None


def has_ended(locked: LockedRun) -> bool:
    """Tell whether no run is left that could be stopped."""
    return RunStatus(locked.run.status) in RUN_ENDS


def describe_life(work: Work, locked: LockedRun) -> RunLife:
    """Describe what is known of a run, by which its usage is judged."""
    run = locked.run
    return RunLife(
        gpus=run.gpus,
        since=run.claimed_at,
        until=run.ended_at or work.now,
        used=Usage(run.used_gpu_seconds, run.used_tokens),
        job_tokens=locked.job.estimate.tokens,
    )


async def _find_unpaid(
    work: Work, hold: ledger.HoldView, events: Sequence[UsageCloudEvent], life: RunLife
) -> dict[int, Doubt]:
    """Find the intervals of a run that has ended that nothing pays for.

    It is asked once for each billing month, of its latest moment.
    """
    moments = {event.data.sequence: life.clip(event.data.ended_at) for event in events}
    months = {number: hold.terms.billing_month(moment) for number, moment in moments.items()}
    latest = {month: max(moments[number] for number in months if months[number] == month) for month in months.values()}
    unpaid = {month for month, moment in latest.items() if await ledger.is_exhausted(work, hold, moment)}
    return {number: Doubt.OVER_BUDGET for number, month in months.items() if month in unpaid}


def _list_marks(events: Iterable[UsageCloudEvent]) -> list[ledger.Mark]:
    """List where checkpoints were written, also of intervals in doubt: that they end there is no claim of usage."""
    steps = ((event.data.sequence, event.data.checkpoint_step) for event in events)
    return [ledger.Mark(step, sequence) for sequence, step in steps if step is not None]


def sum_usage(events: Iterable[UsageCloudEvent]) -> Usage:
    return sum((event.data.usage for event in events), Usage())


async def stop_where_nothing_is_left(work: Work, locked: LockedRun, hold: ledger.HoldView | None) -> None:
    """Ask a run that lives to stop, where its job's limit is reached, or nothing is left that `hold` could take."""
    if locked.job.stop_requested is not None:
        return
    reason = await _find_stop_reason(work, locked, hold)
    if reason is not None:
        await request_stop(work, locked.job, reason)


async def _find_stop_reason(work: Work, locked: LockedRun, hold: ledger.HoldView | None) -> StopReason | None:
    """Find what keeps the job from going on; only usage that was charged just now can use up hours or budget."""
    if has_reached_limit(locked.job.limits, locked.job.spent):
        return StopReason.LIMIT
    shortage = None if hold is None else await ledger.find_shortage(work, hold, promise=locked.job.promise)
    return None if shortage is None else StopReason(shortage.value)
