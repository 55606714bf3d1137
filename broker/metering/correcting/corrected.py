"""What a correction changes: the charge of a stream's event, or of a run's interval, under the locks of its books."""

from dataclasses import dataclass
from typing import Protocol

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.jobs.events import record_event
from broker.jobs.running.locked_run import LockedRun, lock_any_run
from broker.jobs.running.lost_work import bear_lost_work, correct_lost_work
from broker.jobs.running.runs import note_usage
from broker.jobs.service import add_usage
from broker.ledger import service as ledger
from broker.metering.correcting.correction_events import CorrectionEvent
from broker.metering.events.evidence import Doubt, doubt_quantity
from broker.metering.events.model import UsageData
from broker.metering.keeping.storing import RUN_SOURCES
from broker.metering.outside.streams import open_hold
from broker.metering.service import describe_life, has_ended, stop_where_nothing_is_left
from broker.metering.tables import UsageEvent, UsageStream
from broker.work import Work
from pricing.usage import Usage


class Corrected(Protocol):
    """An event whose usage changes, with the locks of its books."""

    def doubt(self, settled: Usage, change: Usage) -> Doubt | None:
        """Doubt that it can have been so much, a change from what it was; None: it can."""
        ...

    async def charge(self, work: Work, change: Usage, correction: CorrectionEvent) -> None:
        """Charge what it was more by a correction, or take back what it was less."""
        ...


async def lock_corrected(work: Work, event: UsageEvent) -> Corrected:
    """Lock the books of an event that was rated: of its run and job, or of its contract."""
    if event.source.startswith(RUN_SOURCES):
        locked = await lock_any_run(work, event.run_id)
        return CorrectedInterval(work, locked, event)
    terms = await contracts.lock_contract(work, event.contract_id)
    stream = await work.session.get_one(UsageStream, event.run_id, populate_existing=True)
    return CorrectedMeasurement(terms, stream, event)


@dataclass(frozen=True)
class CorrectedMeasurement:
    """An event that a source has measured; its contract is locked."""

    terms: ContractTerms
    stream: UsageStream
    event: UsageEvent

    def doubt(self, settled: Usage, change: Usage) -> Doubt | None:
        """Doubt nothing: what a source says is all that is known of it."""
        del settled, change
        return None

    async def charge(self, work: Work, change: Usage, correction: CorrectionEvent) -> None:
        """Charge the difference to the stream's standing hold."""
        hold, (more, less) = await open_hold(work, self.terms, self.stream), split_change(change)
        if less != Usage():
            await ledger.correct_usage(work, hold, self.stream.id, self.event.sequence, less)
        else:
            named = (self.stream.id, self.event.sequence)
            interval = ledger.UsageInterval(*named, more, self.event.ended_at, added_by=correction.id)
            await ledger.charge_more(work, hold, interval)


@dataclass(frozen=True)
class CorrectedInterval:
    """An interval of a run; the run and its job are locked."""

    work: Work
    locked: LockedRun
    event: UsageEvent

    def doubt(self, settled: Usage, change: Usage) -> Doubt | None:
        """Doubt that the run's devices were held so long, or that its job has so many tokens, as of a new interval."""
        more, _less = split_change(change)
        if more == Usage():
            return None
        event, life = self.event, describe_life(self.work, self.locked)
        times = {"started_at": event.started_at, "ended_at": event.ended_at}
        told = UsageData(sequence=event.sequence, **times, **vars(settled))
        return doubt_quantity(told, life.used - (settled - change), life)

    async def charge(self, work: Work, change: Usage, correction: CorrectionEvent) -> None:
        """Charge the difference to the job, within its promises; what a run lost that has ended is lost still."""
        locked, sequence = self.locked, self.event.sequence
        job, run = locked.job, locked.run
        more, less = split_change(change)
        hold = await self._lock_hold()
        captured = ledger.count_captured(hold)
        if less != Usage():
            captured = await ledger.correct_usage(work, hold, run.id, sequence, less)
            hold = await self._lock_hold()
        if more != Usage():
            ended_at = describe_life(work, locked).clip(self.event.ended_at)
            interval = ledger.UsageInterval(run.id, sequence, more, ended_at, added_by=correction.id)
            captured = await ledger.charge_more(work, hold, interval, promise=job.promise)
        add_usage(job, change, captured)
        note_usage(locked, change, acknowledged=run.acknowledged_sequence)
        facts = {"run_id": run.id, "sequence": sequence, "reason": correction.data.reason}
        record_event(work, job, "usage_corrected", facts | vars(change))
        if has_ended(locked):
            await bear_lost_work(work, locked)
            await correct_lost_work(work, locked)
        else:
            await stop_where_nothing_is_left(work, locked, hold)

    async def _lock_hold(self) -> ledger.HoldView:
        job_id, gpu_type = self.locked.job.id, self.locked.run.gpu_type
        await self.work.session.flush()
        return (await ledger.lock_holds(self.work, {job_id: gpu_type}))[job_id]


def split_change(change: Usage) -> tuple[Usage, Usage]:
    """Split a change into what is more and what is less, both counted from zero up."""
    less = Usage() - change
    return (
        Usage(max(0, change.gpu_seconds), max(0, change.tokens)),
        Usage(max(0, less.gpu_seconds), max(0, less.tokens)),
    )
