"""The states of jobs and runs, and which may follow which. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from broker import errors
from broker.ledger.books.causes import Cause

# Longer than any run: it keeps forecasts inside datetime's range, whatever stands in a row.
MOST_EXPECTED_SECONDS = 100 * 365 * 24 * 3600


class JobStatus(StrEnum):
    QUEUED = "queued"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunStatus(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    PREEMPTED = "preempted"
    LOST = "lost"


class StopReason(StrEnum):
    """Why a run is told to stop: somebody asked, or the job's own limit is reached, or the contract's hours or the
    month's budget are gone, or the contract itself has ended or is in arrears; or it makes way for another job, or
    since ops has lowered a quota, and waits in its queue again.
    """

    CANCEL = "cancel"
    PAUSE = "pause"
    LIMIT = "limit"
    BALANCE = "balance"
    BUDGET = "budget"
    CONTRACT_ENDED = "contract_ended"
    ARREARS = "arrears"
    PREEMPT = "preempt"
    QUOTA = "quota"


# Stops that are our doing, at a moment of our choice: the run saves, and its job waits in its queue again.
MAKES_WAY = frozenset({StopReason.PREEMPT, StopReason.QUOTA})


class EvictionReason(StrEnum):
    """For what a run makes way: what was lent of a guarantee comes back, others go first by the discipline, or a quota
    of its queue or contract was lowered.
    """

    GUARANTEE = "guarantee"
    DISCIPLINE = "discipline"
    QUOTA = "quota"


STOP_CAUSES = {
    StopReason.CANCEL: Cause.CANCELLED,
    StopReason.PAUSE: Cause.PAUSED,
    StopReason.LIMIT: Cause.LIMIT,
    StopReason.BALANCE: Cause.BALANCE,
    StopReason.BUDGET: Cause.BUDGET,
    StopReason.CONTRACT_ENDED: Cause.CONTRACT_ENDED,
    StopReason.ARREARS: Cause.ARREARS,
    StopReason.PREEMPT: Cause.PREEMPTED,
    StopReason.QUOTA: Cause.QUOTA,
}
# The codes of a failure that a worker reports (docs/worker-protocol.md) and that are causes; any other is our fault, an
# internal error: one that is unknown, and a base model whose files are missing.
FAILURE_CAUSES = frozenset(
    {
        Cause.BAD_CONFIG,
        Cause.BAD_INPUT,
        Cause.CHECKPOINT_UNUSABLE,
        Cause.OUT_OF_MEMORY,
        Cause.LOSS_NOT_FINITE,
        Cause.BROKER_REFUSED,
        Cause.INTERNAL_ERROR,
    }
)

UNCOUNTED_CAUSES = frozenset({Cause.LAUNCH_FAILED, Cause.PREEMPTED, Cause.SHUTDOWN, Cause.NODE_DOWN})
MOST_UNCOUNTED_ATTEMPTS = 50
# What a worker reports of a failure that may be over by now: what it needed was away; nothing is wrong with the job.
TRANSIENT_FAILURES = frozenset({"broker_away"})
# After these a job goes first: by our doing it has no machine any more. (A failed start says nothing of that.)
GOES_FIRST_AFTER = frozenset({Cause.MACHINE_LOST, Cause.PREEMPTED, Cause.SHUTDOWN, Cause.NODE_DOWN})

JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.DISPATCHED, JobStatus.PAUSED, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.DISPATCHED: frozenset(
        {JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.PAUSED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.RUNNING: frozenset(
        {JobStatus.SUCCEEDED, JobStatus.QUEUED, JobStatus.PAUSED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.PAUSED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}

RUN_ENDS = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.STOPPED, RunStatus.PREEMPTED, RunStatus.LOST})
RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.STARTING: frozenset({RunStatus.RUNNING, RunStatus.LOST, RunStatus.FAILED, RunStatus.PREEMPTED}),
    RunStatus.RUNNING: RUN_ENDS,
    **{end: frozenset() for end in RUN_ENDS},
}

TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})
HOLDS_DEVICES = frozenset({JobStatus.DISPATCHED, JobStatus.RUNNING})


def check_job_transition(job_id: str, before: JobStatus, after: JobStatus) -> None:
    """Refuse a status that may not follow the job's present one. Raises: IllegalTransition."""
    if after not in JOB_TRANSITIONS[before]:
        raise errors.IllegalTransition(
            f"Job {job_id} is {before.value}; from there it cannot become {after.value}.",
            status_before=before.value,
            status_after=after.value,
        )


def check_run_transition(run_id: str, before: RunStatus, after: RunStatus) -> None:
    """Refuse a status that may not follow the run's present one. Raises: IllegalTransition."""
    if after not in RUN_TRANSITIONS[before]:
        raise errors.IllegalTransition(
            f"Run {run_id} is {before.value}; from there it cannot become {after.value}.",
            status_before=before.value,
            status_after=after.value,
        )


def decide_cause(
    outcome: RunStatus, stop_requested: StopReason | None, *, was_claimed: bool, error_code: str | None = None
) -> Cause:
    """Decide why a run has ended, by which it is decided who pays for what it used after its last checkpoint.

    A stop that was carried out is the cause. One that was not (the run failed or was lost on the way) is none, except
    that a cancellation keeps nothing, and a run that no worker had claimed yet had nothing to keep.
    """
    assert outcome in RUN_ENDS
    if outcome == RunStatus.SUCCEEDED:
        return Cause.SUCCEEDED
    was_carried_out = outcome in {RunStatus.STOPPED, RunStatus.PREEMPTED} or not was_claimed
    if stop_requested is not None and (was_carried_out or stop_requested == StopReason.CANCEL):
        return STOP_CAUSES[stop_requested]
    if outcome == RunStatus.PREEMPTED:
        return Cause.SHUTDOWN if error_code == Cause.SHUTDOWN else Cause.PREEMPTED
    if outcome == RunStatus.LOST:
        if error_code == Cause.NODE_DOWN:
            return Cause.NODE_DOWN
        return Cause.MACHINE_LOST if was_claimed else Cause.LAUNCH_FAILED
    return next((cause for cause in FAILURE_CAUSES if cause == error_code), Cause.INTERNAL_ERROR)


def is_counted(cause: Cause, *, uncounted: int, made_way: bool = False) -> bool:
    """Tell whether a run that ended so counts as one of its job's attempts; so many before it did not.

    What a machine does before training has begun, or an agent that leaves, says nothing of the job. There is a bound,
    so that no job is started for ever; none for runs that made way, which went on for a while.
    """
    return not made_way and (cause not in UNCOUNTED_CAUSES or uncounted >= MOST_UNCOUNTED_ATTEMPTS)


def goes_first_after(cause: Cause, stop_requested: StopReason | None) -> bool:
    """Tell whether a job goes first that is queued again after such an end: not before those for whom it made way."""
    return cause in GOES_FIRST_AFTER and stop_requested not in MAKES_WAY


@dataclass(frozen=True)
class AfterRun:
    """What becomes of a job whose run has ended, and why."""

    status: JobStatus
    explanation: str


def decide_after_run(
    outcome: RunStatus,
    stop_requested: StopReason | None,
    *,
    attempts: int,
    max_attempts: int,
    error_code: str | None = None,
) -> AfterRun:
    """Decide what becomes of a job whose run has ended.

    A lost or preempted run is tried again, unless the job was to stop or has had all its attempts; so is one that
    failed for want of what was away just then, and no other failure. One that made way goes on however often it did:
    its attempts are not the job's fault.
    """
    assert outcome in RUN_ENDS
    if outcome == RunStatus.SUCCEEDED:
        return AfterRun(JobStatus.SUCCEEDED, "training finished")
    if stop_requested == StopReason.CANCEL:
        return AfterRun(JobStatus.CANCELLED, "cancelled on request")
    if outcome == RunStatus.FAILED and error_code not in TRANSIENT_FAILURES:
        return AfterRun(JobStatus.FAILED, "training failed")
    if stop_requested in MAKES_WAY:
        why = "made room for another job" if stop_requested == StopReason.PREEMPT else "is beyond a lowered quota"
        return AfterRun(JobStatus.QUEUED, f"it {why}; goes on from the last checkpoint")
    if stop_requested is not None:
        return AfterRun(JobStatus.PAUSED, f"paused: {stop_requested.value}")
    return _decide_after_loss(outcome, attempts, max_attempts)


def _decide_after_loss(outcome: RunStatus, attempts: int, max_attempts: int) -> AfterRun:
    if attempts >= max_attempts:
        return AfterRun(JobStatus.FAILED, f"its run was {outcome.value} and it has had all {max_attempts} attempts")
    return AfterRun(JobStatus.QUEUED, f"its run was {outcome.value}; goes on from the last checkpoint")
