"""Where the time went until a job trained: a segment for each cause, and what nothing accounts for. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from broker.jobs.rules.model import TERMINAL, JobStatus


class WaitCause(StrEnum):
    """Why a job does not train yet: it is in its queue, its process is being started, it is paused; its run was lost,
    made way or failed to start, and it is in its queue again; or nobody knows.
    """

    QUEUED = "queued"
    STARTING = "starting"
    PAUSED = "paused"
    QUEUED_AGAIN = "queued_again"
    UNACCOUNTED = "unaccounted"


@dataclass(frozen=True)
class Moment:
    """Something that happened to a job; `after` is the status that an end of a run brought it into."""

    kind: str
    at: datetime
    after: str | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch of time that a cause took. Units: seconds, exact to the microsecond."""

    cause: WaitCause
    seconds: float


@dataclass(frozen=True)
class TimeToStart:
    """The stretches in the order of their causes; their sum is all the time since the job was submitted.

    `is_over`: it has trained since, or never will.
    """

    segments: tuple[Segment, ...]
    is_over: bool

    @property
    def seconds(self) -> float:
        return sum(each.seconds for each in self.segments)


FOLLOWING: Mapping[str, WaitCause] = {
    "submitted": WaitCause.QUEUED,
    "dispatched": WaitCause.STARTING,
    "paused": WaitCause.PAUSED,
    "resumed": WaitCause.QUEUED,
}


def compute_time_to_start(created_at: datetime, moments: Iterable[Moment], now: datetime) -> TimeToStart:
    """Compute where the time went from a job's submission to its first training, or to now.

    What happens after training has begun for the first time is no matter of its start.
    """
    spent = dict.fromkeys(WaitCause, 0.0)
    cause, since, is_over = WaitCause.UNACCOUNTED, created_at, False
    for moment in moments:
        spent[cause] += max(0.0, (moment.at - since).total_seconds())
        since = max(since, moment.at)
        if moment.kind in {"started", "cancelled"}:
            is_over = True
            break
        cause, is_over = _find_next(moment, cause)
        if is_over:
            break
    if not is_over:
        spent[cause] += max(0.0, (now - since).total_seconds())
    return TimeToStart(tuple(Segment(each, spent[each]) for each in WaitCause if spent[each]), is_over)


def _find_next(moment: Moment, present: WaitCause) -> tuple[WaitCause, bool]:
    if moment.kind.startswith("run_"):
        if moment.after == JobStatus.PAUSED:
            return WaitCause.PAUSED, False
        return WaitCause.QUEUED_AGAIN, moment.after in {status.value for status in TERMINAL}
    return FOLLOWING.get(moment.kind, present), False
