"""What is believed of the usage that a run reports, by what the broker knows of the run. Pure (decision 0019)."""

from bisect import bisect, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from broker.metering.events.model import UsageData
from pricing.usage import Usage

# How far a worker's clock may be off; and what a whole run may report beyond the time that it held its devices.
CLOCK_SLACK = timedelta(seconds=30)
# GPU-seconds are rounded to whole ones at both ends of an interval.
ROUNDING_SLACK = timedelta(seconds=2)
# A run trains each step of its job once, and some of them again where `auto_fit` went back to a checkpoint.
TIMES_TRAINED = 2
# A job whose tokens were counted too low is billed all the same, at a rate that small models reach.
TOKENS_PER_GPU_SECOND = 1000


class Doubt(StrEnum):
    """Why usage is quarantined instead of charged."""

    ENDS_BEFORE_IT_STARTS = "ends_before_it_starts"
    OUTSIDE_THE_RUN = "outside_the_run"
    OVERLAPS = "overlaps"
    LONGER_THAN_ITS_TIME = "longer_than_its_time"
    LONGER_THAN_THE_RUN = "longer_than_the_run"
    MORE_TOKENS_THAN_THE_JOB = "more_tokens_than_the_job"
    OVER_BUDGET = "over_budget"
    CONTRACT_ENDED = "contract_ended"


EXPLANATIONS: Mapping[Doubt, str] = {
    Doubt.ENDS_BEFORE_IT_STARTS: "Its ended_at lies before its started_at.",
    Doubt.OUTSIDE_THE_RUN: "It lies more than 30 s outside the time in which the run held its devices, by the broker's "
    "clock; where all intervals do, the worker's clock is wrong.",
    Doubt.OVERLAPS: "It overlaps the interval whose number comes before or after its own.",
    Doubt.LONGER_THAN_ITS_TIME: "It has more GPU-seconds than the run's devices can hold between its start and end.",
    Doubt.LONGER_THAN_THE_RUN: "With it the run has more GPU-seconds than it held its devices by the broker's clock.",
    Doubt.MORE_TOKENS_THAN_THE_JOB: "With it the run has more tokens than its job can have trained.",
    Doubt.OVER_BUDGET: "The run has ended, and its contract pays for no more usage now.",
    Doubt.CONTRACT_ENDED: "It was used after its contract had ended.",
}


@dataclass(frozen=True)
class RunLife:
    """What the broker knows of a run, by its own clock; `since` None: no worker has claimed it.

    `until` is now for a run that lives. `used` is what it has been believed to use so far, `job_tokens` the number that
    its whole job was counted at.
    """

    gpus: int
    since: datetime | None
    until: datetime
    used: Usage
    job_tokens: int

    @property
    def most(self) -> Usage:
        """Tell the most that the run can have used: 30 seconds more than its devices' time, once."""
        lived_seconds = (self.until - (self.since or self.until)).total_seconds()
        gpu_seconds = int(self.gpus * lived_seconds + CLOCK_SLACK.total_seconds())
        return Usage(gpu_seconds, max(TIMES_TRAINED * self.job_tokens, TOKENS_PER_GPU_SECOND * gpu_seconds))

    def clip(self, moment: datetime) -> datetime:
        """Clip a moment to the run's life, so that no clock of a worker chooses the month that bills it."""
        return min(max(moment, self.since or self.until), self.until)


@dataclass(frozen=True, order=True)
class Span:
    """The number of an interval, and its time."""

    sequence: int
    started_at: datetime = field(compare=False)
    ended_at: datetime = field(compare=False)


@dataclass
class Timeline:
    """Intervals of a run that are believed, in the order of their numbers, which is that of their times."""

    spans: list[Span]

    @property
    def sequences(self) -> set[int]:
        return {span.sequence for span in self.spans}

    def has_room_for(self, span: Span) -> bool:
        """Tell whether an interval lies between the one with the number before its own and the one with the next."""
        place = bisect(self.spans, span)
        starts_late_enough = place == 0 or self.spans[place - 1].ended_at <= span.started_at
        return starts_late_enough and (place == len(self.spans) or span.ended_at <= self.spans[place].started_at)

    def add(self, span: Span) -> None:
        insort(self.spans, span)


def judge_intervals(new: Iterable[UsageData], stored: Timeline, life: RunLife) -> dict[int, Doubt]:
    """Judge new intervals in their order, by the run's life and its stored intervals; returns the numbers in doubt.

    `stored` has at least the neighbours of the new ones.
    """
    timeline, used, doubted = Timeline(list(stored.spans)), life.used, dict[int, Doubt]()
    for data in new:
        span = Span(data.sequence, data.started_at, data.ended_at)
        doubt = _doubt_time(span, timeline, life) or doubt_quantity(data, used, life)
        if doubt is not None:
            doubted[data.sequence] = doubt
            continue
        timeline.add(span)
        used += data.usage
    return doubted


def _doubt_time(span: Span, timeline: Timeline, life: RunLife) -> Doubt | None:
    if span.ended_at < span.started_at:
        return Doubt.ENDS_BEFORE_IT_STARTS
    if life.since is None or span.started_at < life.since - CLOCK_SLACK or span.ended_at > life.until + CLOCK_SLACK:
        return Doubt.OUTSIDE_THE_RUN
    return None if timeline.has_room_for(span) else Doubt.OVERLAPS


def doubt_quantity(data: UsageData, used: Usage, life: RunLife) -> Doubt | None:
    """Doubt that a run used so much in the time of an interval, besides what else it used; None: it may have."""
    length = data.ended_at - data.started_at
    if data.gpu_seconds > life.gpus * (length + ROUNDING_SLACK).total_seconds():
        return Doubt.LONGER_THAN_ITS_TIME
    total, most = used + data.usage, life.most
    if total.gpu_seconds > most.gpu_seconds:
        return Doubt.LONGER_THAN_THE_RUN
    return Doubt.MORE_TOKENS_THAN_THE_JOB if total.tokens > most.tokens else None
