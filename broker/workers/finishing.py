"""The end of a run as its worker reports it, with its last usage: its job is over, or is queued or paused again.

Ends by which jobs are over, and of which the house bears nothing, are most: those that come together are taken
together, and written with the charges and the settled holds. Each other end is taken by itself.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from broker import errors
from broker.adapters import service as adapters
from broker.datasets import versions
from broker.http.caller import Caller
from broker.jobs.events import collect_events, command_events, list_tellers
from broker.jobs.rules.model import JobStatus, RunStatus, StopReason
from broker.jobs.running.locked_run import (
    LockedRun,
    LockedRuns,
    lock_run,
    lock_runs,
    read_locked_runs,
    require_active,
    require_current,
)
from broker.jobs.running.losses import command_losses
from broker.jobs.running.runs import decide_ending, end_run, is_for_good, note_ending
from broker.ledger import service as ledger
from broker.metering.events.evidence import Doubt
from broker.metering.events.model import check_subject
from broker.metering.service import Intake, lock_intake, open_intake, take_usage
from broker.persistence.database import WAKE_FOR_FREED
from broker.persistence.driver import Row
from broker.work import Work, run_for_all
from broker.workers.checked import CHECKED
from broker.workers.heartbeat import take_report
from broker.workers.joint_reports import JointReports
from broker.workers.model import Report, RunEnd


@dataclass(frozen=True)
class Finish:
    """The end of a run as it came: under which fence token, how it ended, and with what last usage."""

    run_id: str
    fence_token: int
    outcome: RunStatus
    report: Report
    error: dict[str, Any] | None = None


SentFinish = tuple[Work, Finish]
FinishBatches = JointReports[Finish, RunEnd]


class EndsAlone(Exception):
    """The end of this run is taken by itself: its job goes on, the house bears something, or it was told before."""


def collect_finishes(wait_seconds: float) -> FinishBatches:
    """Make the collector of one process."""
    return FinishBatches(take_finishes, wait_seconds)


async def send_finish(batches: FinishBatches, caller: Caller, finish: Finish) -> RunEnd:
    """Have the end of a run taken, with others where it can be.

    Raises: NotFound, StaleFenceToken, IllegalTransition, InvalidRequest; TooManyAtOnce, Busy.
    """
    if caller.claim is None:
        with suppress(EndsAlone):
            return await batches.send(caller, finish)
    return await finish_run(await caller.begin(), finish)


async def finish_run(work: Work, finish: Finish) -> RunEnd:
    """End a run as its worker reports it; the same report again changes nothing, but new usage in it is taken.

    Raises: NotFound, StaleFenceToken, IllegalTransition, InvalidRequest.
    """
    locking = lock_runs([finish.run_id], seen_by=work.seen_by)
    (answer,) = await take_finishes([(work, finish)], await work.run_together(locking))
    if isinstance(answer, EndsAlone):
        return await _finish_alone(work, finish)
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _finish_alone(work: Work, finish: Finish) -> RunEnd:
    locked, report = await lock_run(work, finish.run_id, finish.fence_token), finish.report
    if locked.run.status == finish.outcome:
        return _describe_end(locked, (await take_usage(work, locked, report.usage)).quarantined)
    intake = await open_intake({locked.job.customer_id: work}, [(locked, report.usage)])
    if not intake.holds:
        await ledger.renew_holds(work, [locked.job.id])
    quarantined = await take_report(work, intake, locked, report)
    await intake.write()
    await work.run_together(command_losses([(locked, report.losses)]))
    await end_run(work, locked, finish.outcome, finish.error)
    return _describe_end(locked, quarantined)


async def take_finishes(sent: Sequence[SentFinish], found: Sequence[Sequence[Row]]) -> Sequence[RunEnd | Exception]:
    """Take the ends of runs that came together, and write what follows: the same as one after the other.

    `found` are the rows of `lock_runs`. Locks: jobs, then holds, then contracts, each in the order of their ids.
    """
    return await take_ends(read_locked_runs(found), sent)


async def take_ends(runs: LockedRuns, sent: Sequence[SentFinish]) -> Sequence[RunEnd | Exception]:
    """Take the ends of locked runs as `take_finishes` does; what has changed of these already is written with them."""
    refusals = await _find_refusals(runs, sent)
    taken = [
        (work, runs.by_id[finish.run_id], finish)
        for (work, finish), refusal in zip(sent, refusals, strict=True)
        if refusal is None
    ]
    ends = iter(await _end_together(runs, taken) if taken else ())
    return [next(ends) if refusal is None else refusal for refusal in refusals]


async def _find_refusals(runs: LockedRuns, sent: Sequence[SentFinish]) -> list[Exception | None]:
    """Find which ends may not be, and which are taken by themselves; of two of one run the second is."""
    succeeded = [
        runs.by_id[finish.run_id].job.id
        for _work, finish in sent
        if finish.outcome == RunStatus.SUCCEEDED and finish.run_id in runs.by_id
    ]
    works = [work for work, _finish in sent]
    made = await adapters.list_makers(works, succeeded) if succeeded else set[str]()
    if len(made) < len(succeeded):  # those that have made no adapter may have labelled pictures, or checked data
        made |= await versions.list_makers(works, succeeded) | await list_tellers(works, succeeded, CHECKED)
    refusals: list[Exception | None] = []
    seen: set[str] = set()
    for work, finish in sent:
        refusal = _find_refusal(runs.by_id, work, finish, made)
        if refusal is None and finish.run_id in seen:
            refusal = EndsAlone()
        refusals.append(refusal)
        seen.add(finish.run_id)
    return refusals


def _find_refusal(
    runs: Mapping[str, LockedRun], work: Work, finish: Finish, made: set[str]
) -> errors.DomainError | EndsAlone | None:
    try:
        if finish.run_id not in runs or not work.sees(runs[finish.run_id].run.customer_id):
            raise errors.NotFound("run", finish.run_id)
        locked = runs[finish.run_id]
        require_current(locked, finish.fence_token)
        for event in finish.report.usage:
            check_subject(event, finish.run_id)
        if locked.run.status == finish.outcome:
            return EndsAlone()
        require_active(locked)
        if finish.outcome == RunStatus.SUCCEEDED and finish.run_id not in made:
            raise errors.IllegalTransition(f"Run {finish.run_id} cannot succeed before what it made is uploaded.")
        ending = decide_ending(work, locked, finish.outcome, finish.error)
    except errors.DomainError as refusal:
        return refusal
    return None if is_for_good(ending) and is_certain(locked, finish.outcome) else EndsAlone()


def is_certain(locked: LockedRun, outcome: RunStatus) -> bool:
    """Tell whether an end stays what it is, whatever stop the last usage of its run leads to. Pure."""
    has_failed = outcome == RunStatus.FAILED and locked.run.claimed_at is not None
    return outcome == RunStatus.SUCCEEDED or locked.job.stop_requested == StopReason.CANCEL or has_failed


async def _end_together(runs: LockedRuns, taken: Sequence[tuple[Work, LockedRun, Finish]]) -> list[RunEnd]:
    works = {locked.job.customer_id: work for work, locked, _finish in taken}
    intake = await lock_intake(works, [(locked, finish.report.usage) for _work, locked, finish in taken])
    ends: list[RunEnd] = []
    unsettled: list[tuple[Work, str]] = []
    with collect_events(works.values()) as events:
        for work, locked, finish in taken:
            ends.append(await _end(work, intake, locked, finish))
            if not await ledger.settle_with_charges(work, intake.holds[locked.job.id]):
                unsettled.append((work, locked.job.id))
    losses = command_losses((locked, finish.report.losses) for _work, locked, finish in taken)
    commands = [*runs.command_changes(), *await intake.command_writes(), *command_events(events), *losses]
    await run_for_all(works.values(), commands, after=WAKE_FOR_FREED)
    for work, job_id in unsettled:
        await ledger.settle_hold(work, job_id)
    return ends


async def _end(work: Work, intake: Intake, locked: LockedRun, finish: Finish) -> RunEnd:
    quarantined = await take_report(work, intake, locked, finish.report)
    note_ending(work, locked, finish.outcome, decide_ending(work, locked, finish.outcome, finish.error), finish.error)
    return _describe_end(locked, quarantined)


def _describe_end(locked: LockedRun, quarantined: Mapping[int, Doubt]) -> RunEnd:
    return RunEnd(RunStatus(locked.run.status), JobStatus(locked.job.status), quarantined)
