"""Heartbeats and the end of a run: what its worker reports, and whether it is to go on."""

from collections.abc import Mapping
from typing import Any

from broker import errors
from broker.adapters import service as adapters
from broker.jobs.locked_run import LockedRun, lock_run, require_active
from broker.jobs.model import JobStatus, RunStatus, StopReason
from broker.jobs.runs import claim_run, end_run, renew_lease, report_progress
from broker.ledger import service as ledger
from broker.metering.evidence import Doubt
from broker.metering.service import take_usage
from broker.work import Work
from broker.workers.model import Instruction, Report, RunEnd
from broker.workers.observations import record_observations
from pricing.money import Money


async def take_heartbeat(work: Work, run_id: str, fence_token: int, report: Report) -> Instruction:
    """Take a run's progress and usage, and tell it to go on or to stop. Raises: NotFound, StaleFenceToken."""
    locked = await lock_run(work, run_id, fence_token)
    await claim_run(work, locked)
    quarantined = await _take_report(work, locked, report)
    reason = locked.job.stop_requested
    return Instruction(
        stop_reason=None if reason is None else StopReason(reason),
        acknowledged_sequence=locked.run.acknowledged_sequence,
        quarantined=quarantined,
        cost=Money(locked.job.cost_micros),
    )


async def _take_report(work: Work, locked: LockedRun, report: Report) -> Mapping[int, Doubt]:
    """Take all that a report brings; returns its intervals that are not charged, and why."""
    taken = await take_usage(work, locked, report.usage)
    if report.progress is not None:
        report_progress(locked, report.progress)
    await record_observations(work, locked, report.validations, report.samples)
    renew_lease(work, locked)
    await _renew_hold(work, locked, taken.hold)
    return taken.quarantined


async def _renew_hold(work: Work, locked: LockedRun, hold: ledger.HoldView | None) -> None:
    if hold is None:
        await ledger.renew_hold(work, locked.job.id)
    else:
        await ledger.renew_locked_hold(work, hold)


async def finish_run(
    work: Work,
    run_id: str,
    fence_token: int,
    outcome: RunStatus,
    report: Report,
    error: dict[str, Any] | None,
) -> RunEnd:
    """End a run as its worker reports it; the same report again changes nothing, but new usage in it is taken.

    Raises: NotFound, StaleFenceToken, IllegalTransition.
    """
    locked = await lock_run(work, run_id, fence_token)
    if locked.run.status == outcome:
        return _describe_end(locked, (await take_usage(work, locked, report.usage)).quarantined)
    require_active(locked)
    quarantined = await _take_report(work, locked, report)
    if outcome == RunStatus.SUCCEEDED:
        await _require_adapter(work, locked)
    await end_run(work, locked, outcome, error)
    return _describe_end(locked, quarantined)


def _describe_end(locked: LockedRun, quarantined: Mapping[int, Doubt]) -> RunEnd:
    return RunEnd(RunStatus(locked.run.status), JobStatus(locked.job.status), quarantined)


async def _require_adapter(work: Work, locked: LockedRun) -> None:
    adapter = await adapters.find_adapter_of_job(work, locked.job.id)
    if adapter is None or adapter.run_id != locked.run.id:
        raise errors.IllegalTransition(f"Run {locked.run.id} cannot succeed before its adapter is uploaded.")
