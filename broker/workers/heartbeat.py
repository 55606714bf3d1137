"""Heartbeats: what the worker of a run reports, and whether it is to go on."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker import errors
from broker.capacity.readiness import command_good_starts
from broker.jobs.events import collect_events, command_events
from broker.jobs.rules.model import StopReason
from broker.jobs.running.locked_run import (
    LockedRun,
    lock_runs,
    read_locked_runs,
    require_active,
    require_current,
)
from broker.jobs.running.losses import command_losses
from broker.jobs.running.runs import claim_run, renew_lease, report_progress
from broker.ledger import service as ledger
from broker.metering.events.evidence import Doubt
from broker.metering.events.model import check_subject
from broker.metering.service import Intake, open_intake
from broker.persistence.driver import Command, Row
from broker.work import Work
from broker.workers.model import Instruction, Report
from broker.workers.observations import record_observations
from pricing.money import Money


@dataclass(frozen=True)
class Beat:
    """A heartbeat as it came: of which run, under which fence token, with what."""

    run_id: str
    fence_token: int
    report: Report


# A heartbeat, and the unit of work of its sender: it sees the sender's rows, whoever else is in the transaction.
SentBeat = tuple[Work, Beat]


@dataclass(frozen=True)
class TakenBeats:
    """What the runs of some heartbeats are told, or why they may not report; and the commands that write all of it."""

    answers: Sequence[Instruction | errors.DomainError]
    commands: Sequence[Command]


async def take_heartbeats(work: Work, beats: Sequence[Beat]) -> Sequence[Instruction | errors.DomainError]:
    """Take heartbeats that came together, in their order, and write what follows; `decide_heartbeats` says how."""
    locking = lock_heartbeats(beats, seen_by=work.seen_by)
    taken = await decide_heartbeats([(work, beat) for beat in beats], await work.run_together(locking))
    await work.run_together(taken.commands)
    return taken.answers


def lock_heartbeats(beats: Iterable[Beat], *, seen_by: Collection[str] | None) -> list[Command]:
    """Make the commands that lock the runs of some heartbeats, by which a transaction may begin."""
    return lock_runs({beat.run_id for beat in beats}, seen_by=seen_by)


async def decide_heartbeats(sent: Sequence[SentBeat], found: Sequence[Sequence[Row]]) -> TakenBeats:
    """Decide heartbeats that came together, in their order: the same as one after the other, in one transaction.

    `found` are the rows of `lock_heartbeats`. Locks: jobs, then holds, then contracts, each in the order of their ids.
    """
    runs = read_locked_runs(found)
    refusals = [_find_refusal(runs.by_id, *each) for each in sent]
    taken = [
        (work, runs.by_id[beat.run_id], beat.report)
        for (work, beat), refusal in zip(sent, refusals, strict=True)
        if refusal is None
    ]
    works = {locked.job.customer_id: work for work, locked, _report in taken}
    intake = await open_intake(works, [(locked, report.usage) for _work, locked, report in taken])
    if works and not intake.holds:
        await ledger.renew_all_holds(works, {locked.job.id for _work, locked, _report in taken})
    with collect_events(works.values()) as events:
        claimed = {locked.run.pool for work, locked, _report in taken if claim_run(work, locked)}
        instructions = iter([await _take_beat(work, intake, locked, report) for work, locked, report in taken])
    answers = [next(instructions) if refusal is None else refusal for refusal in refusals]
    losses = command_losses((locked, report.losses) for _work, locked, report in taken)
    written = [*runs.command_changes(), *await intake.command_writes(), *command_events(events), *losses]
    written += command_good_starts(claimed)
    return TakenBeats(answers, written)


def _find_refusal(runs: Mapping[str, LockedRun], work: Work, beat: Beat) -> errors.DomainError | None:
    try:
        if beat.run_id not in runs or not work.sees(runs[beat.run_id].run.customer_id):
            raise errors.NotFound("run", beat.run_id)
        require_current(runs[beat.run_id], beat.fence_token)
        require_active(runs[beat.run_id])
        for event in beat.report.usage:
            check_subject(event, beat.run_id)
    except errors.DomainError as refusal:
        return refusal
    return None


async def _take_beat(work: Work, intake: Intake, locked: LockedRun, report: Report) -> Instruction:
    """Take a claimed run's progress and usage, and tell it to go on or to stop."""
    quarantined = await take_report(work, intake, locked, report)
    reason = locked.job.stop_requested
    return Instruction(
        stop_reason=None if reason is None else StopReason(reason),
        acknowledged_sequence=locked.run.acknowledged_sequence,
        quarantined=quarantined,
        cost=Money(locked.job.cost_micros),
    )


async def take_report(work: Work, intake: Intake, locked: LockedRun, report: Report) -> Mapping[int, Doubt]:
    """Take all that a report brings; returns its intervals that are not charged, and why."""
    taken = await intake.take(locked, report.usage)
    if report.progress is not None:
        report_progress(locked, report.progress)
    await record_observations(work, locked, report.validations, report.samples)
    renew_lease(work, locked)
    if locked.job.id in intake.holds:
        await ledger.renew_locked_hold(work, intake.holds[locked.job.id])
    return taken.quarantined
