"""What is said of a job: its status in words that are true, causes, and what is on us. Pure; templates translate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from broker.console.frame.menu import N_
from broker.console.frame.words import WORDS
from broker.jobs.rules.model import JobStatus
from broker.jobs.rules.time_to_start import WaitCause
from broker.ledger.books.causes import Cause
from broker.scheduling.planning.values.answers import ReasonCode

# A run that was told to stop hears it with its next heartbeat; one that is silent for longer may be lost.
SILENT_AFTER = timedelta(minutes=2)


class Told(Protocol):
    """What a status is told by: a job, or a line of a list."""

    @property
    def status(self) -> str: ...
    @property
    def stop_requested(self) -> str | None: ...
    @property
    def pause_reason(self) -> str | None: ...
    @property
    def pending_reason(self) -> Mapping[str, Any] | None: ...
    @property
    def progress(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True)
class StatusWords:
    """A status in words, with what is filled into them; `tone` is a class of the style: good, warn, bad or none."""

    words: str
    tone: str = ""
    params: Mapping[str, str | int] = field(default_factory=dict)


PAUSED = {
    "pause": N_("paused by you"),
    "limit": N_("paused at its limit"),
    "balance": N_("paused: the contract's hours are used up"),
    "budget": N_("paused: the month's budget is used up"),
    "contract_ended": N_("paused: the contract has ended"),
    "arrears": N_("paused: the contract is in arrears"),
}
ENDED = {
    JobStatus.SUCCEEDED: StatusWords(N_("succeeded"), "good"),
    JobStatus.FAILED: StatusWords(N_("failed"), "bad"),
    JobStatus.CANCELLED: StatusWords(N_("cancelled")),
}
STATUS_NAMES = {
    JobStatus.QUEUED: N_("queued"),
    JobStatus.DISPATCHED: N_("starting"),
    JobStatus.RUNNING: N_("running"),
    JobStatus.PAUSED: N_("paused"),
    JobStatus.SUCCEEDED: N_("succeeded"),
    JobStatus.FAILED: N_("failed"),
    JobStatus.CANCELLED: N_("cancelled"),
}
# A reason to wait is told in the words of all pages; these are no reasons of a queue's.
WAIT_NAMES = {
    **{code.value: WORDS[code.value] for code in ReasonCode},
    WaitCause.QUEUED: N_("in the queue"),
    WaitCause.STARTING: N_("starting its process"),
    WaitCause.PAUSED: N_("paused"),
    WaitCause.QUEUED_AGAIN: N_("in the queue again"),
    WaitCause.UNACCOUNTED: N_("unaccounted"),
}
CAUSE_NAMES = {
    Cause.OUT_OF_MEMORY: N_("the memory that it was given did not suffice"),
    Cause.CHECKPOINT_UNUSABLE: N_("its checkpoint could not be used"),
    Cause.BROKER_REFUSED: N_("what it had made was not taken"),
    Cause.INTERNAL_ERROR: N_("something of ours failed"),
    Cause.LAUNCH_FAILED: N_("it could not be started"),
    Cause.MACHINE_LOST: N_("the machine was lost"),
    Cause.PREEMPTED: N_("it had to make room"),
    Cause.QUOTA: N_("operations lowered a limit of its queue or contract"),
    Cause.SHUTDOWN: N_("the machine was shut down"),
    Cause.NODE_DOWN: N_("the machine is down"),
    Cause.CHECKPOINT_LOST: N_("its last checkpoint did not reach us"),
    Cause.OVER_PROMISE: N_("it went beyond what was promised"),
}


def describe_status(job: Told) -> StatusWords:
    """Describe where a job stands; never as started when it is queued."""
    match JobStatus(job.status):
        case JobStatus.QUEUED:
            return _describe_waiting((job.pending_reason or {}).get("position"))
        case JobStatus.DISPATCHED:
            return StatusWords(N_("a machine was found; its process is being started"))
        case JobStatus.RUNNING:
            return _describe_running(job)
        case JobStatus.PAUSED:
            return StatusWords(PAUSED.get(job.pause_reason or "pause", PAUSED["pause"]), "warn")
        case ended:
            return ENDED[ended]


def _describe_waiting(position: int | None) -> StatusWords:
    if position is None:
        return StatusWords(N_("queued, not placed yet"))
    return StatusWords(N_("queued as no. %(position)s"), params={"position": position})


def _describe_running(job: Told) -> StatusWords:
    if job.stop_requested is not None:
        return StatusWords(N_("told to stop; it saves first"), "warn")
    if not (job.progress or {}).get("step"):
        return StatusWords(N_("running: it loads the model and the data"), "good")
    return StatusWords(N_("running"), "good")


def describe_silence(job: Told, last_heartbeat_at: datetime | None, now: datetime) -> datetime | None:
    """Tell since when the run of a job has not been heard, where that is long: what it is told may not reach it."""
    is_running = JobStatus(job.status) == JobStatus.RUNNING
    is_silent = last_heartbeat_at is not None and now - last_heartbeat_at > SILENT_AFTER
    return last_heartbeat_at if is_running and is_silent else None
