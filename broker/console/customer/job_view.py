"""A job as its page shows it: figures, why it waits, cost beside its quote, what is on us, evictions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from broker.console.customer.job_words import CAUSE_NAMES, WAIT_NAMES, StatusWords
from broker.console.customer.loss_chart import LossChart
from broker.console.frame.menu import N_
from broker.jobs.reading.course import LogPage, SampleAt
from broker.jobs.reading.training_log import TrainingLog
from broker.jobs.rules.model import JobStatus
from broker.jobs.rules.sooner import SoonerStart
from broker.jobs.rules.time_to_start import TimeToStart, WaitCause
from broker.ledger.books.causes import Cause
from pricing.money import Money

BAR_WIDTH = 600.0
COLOURS = 4


@dataclass(frozen=True)
class WaitPart:
    """A part of the bar: what it is, how long it took, where it lies, and its colour. Units: seconds; the bar's own."""

    cause: str
    name: str
    seconds: float
    x: float
    width: float
    colour: str


def join_waits(by_cause: Mapping[str, float], told: TimeToStart) -> dict[str, float]:
    """Join the causes for which a job waited in its queue with what came after: its start, and its queue again. Pure.

    Where no cause was kept, it is told that it was in its queue; what nothing accounts for stands last.
    """
    after = {each.cause: each.seconds for each in told.segments}
    queued: Mapping[str, float] = by_cause
    if not by_cause:
        queued = {cause: after[cause] for cause in (WaitCause.QUEUED, WaitCause.PAUSED) if cause in after}
    joined = {cause: seconds for cause, seconds in queued.items() if cause != WaitCause.UNACCOUNTED and seconds}
    joined |= {each: after[each] for each in (WaitCause.STARTING, WaitCause.QUEUED_AGAIN) if each in after}
    rest = (queued if by_cause else after).get(WaitCause.UNACCOUNTED, 0)
    return joined | ({WaitCause.UNACCOUNTED: rest} if rest else {})


def place_waits(waits: Mapping[str, float]) -> list[WaitPart]:
    """Place the time to a job's start on a bar: each cause as wide as its share."""
    whole, x, parts = sum(waits.values()), 0.0, []
    for place, (cause, seconds) in enumerate(waits.items()):
        width = BAR_WIDTH * seconds / whole if whole else 0.0
        colour = "u" if cause == WaitCause.UNACCOUNTED else str(place % COLOURS)
        name = WAIT_NAMES.get(cause, cause.replace("_", " "))
        parts.append(WaitPart(cause, name, seconds, round(x, 2), round(width, 2), colour))
        x += width
    return parts


@dataclass(frozen=True)
class QuotedAgainst:
    """What was quoted of something, from p50 to p90, and what it came to. Units: those of its kind."""

    name: str
    kind: str
    p50: int | None
    p90: int | None
    actual: int

    @property
    def is_beyond(self) -> bool:
        return self.p90 is not None and self.actual > self.p90


def compare_with_quote(job: Any, price: tuple[Money, Money] | None, estimate: Any | None) -> list[QuotedAgainst]:
    """Compare what a job used and cost with its quote; where there is none that can be read, nothing was quoted."""
    seconds = None if estimate is None else estimate.gpu_seconds
    tokens = None if estimate is None else estimate.tokens
    low, high = (None, None) if price is None else (price[0].micros, price[1].micros)
    return [
        QuotedAgainst(
            N_("GPU-hours"),
            "hours",
            None if seconds is None else seconds.p50,
            None if seconds is None else seconds.p90,
            job.charged.gpu_seconds,
        ),
        QuotedAgainst(N_("Tokens"), "tokens", tokens, tokens, job.charged.tokens),
        QuotedAgainst(N_("Cost"), "money", low, high, job.cost_micros),
    ]


@dataclass(frozen=True)
class OnUs:
    """What the house bears of a job for one cause. Units: GPU-seconds, tokens, micro-yuan."""

    why: str
    gpu_seconds: int
    tokens: int
    micros: int


def list_on_us(borne: Mapping[Cause, Any]) -> list[OnUs]:
    """List what the house bears of a job, by cause; what comes to nothing is left out."""
    return [
        OnUs(CAUSE_NAMES.get(cause, cause.value), each.usage.gpu_seconds, each.usage.tokens, each.price.micros)
        for cause, each in borne.items()
        if each.usage.gpu_seconds or each.usage.tokens
    ]


@dataclass(frozen=True)
class EvictionShown:
    """An eviction: all of it in a sentence, both prices of a GPU-hour, what was lost, and whether it still saves."""

    message: str
    message_zh: str
    price: Money
    other_price: Money | None
    lost_gpu_seconds: int | None
    lost_tokens: int | None
    paid_by_house: bool
    at: datetime


@dataclass(frozen=True)
class JobHead:
    """What stands on top of a job's page, whatever tab is open."""

    job: Any
    status: StatusWords
    silent_since: datetime | None
    step: int | None
    total_steps: int | None
    ends: tuple[datetime, datetime] | None
    cap_micros: int | None
    cap_kind: str
    may_stop: bool
    may_pause: bool
    may_resume: bool

    @property
    def share(self) -> int | None:
        """Tell how far it is in whole per cent, rounded down."""
        return None if not self.step or not self.total_steps else min(100, 100 * self.step // self.total_steps)


def find_cap(job: Any) -> tuple[int | None, str]:
    """Find the most that a job may cost, and by what: its own limit comes before the cap of its contract."""
    for micros, kind in (
        (job.max_cost_micros, N_("your budget cap")),
        (job.limit_micros, N_("its quote at p90")),
        (job.cap_micros, N_("the quoted total, which the contract caps")),
    ):
        if micros is not None:
            return micros, kind
    return None, N_("no limit of its own")


def make_head(job: Any, status: StatusWords, silent_since: datetime | None, ends: Any | None) -> JobHead:
    """Make the head of a job's page."""
    state, progress = JobStatus(job.status), job.progress or {}
    cap, kind = find_cap(job)
    is_live = state in {JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING}
    return JobHead(
        job=job,
        status=status,
        silent_since=silent_since,
        step=progress.get("step"),
        total_steps=progress.get("total_steps"),
        ends=None if ends is None else (ends.p50, ends.p90),
        cap_micros=cap,
        cap_kind=kind,
        may_stop=(is_live or state == JobStatus.PAUSED) and job.stop_requested != "cancel",
        may_pause=is_live and job.stop_requested is None,
        may_resume=state == JobStatus.PAUSED,
    )


@dataclass(frozen=True)
class WaitingShown:
    """Why a job waits, in both languages, what was read for it, and what would start it sooner."""

    reason: Mapping[str, Any] | None
    expected_start: datetime | None
    latest_start: datetime | None
    sooner: Sequence[SoonerStart]


@dataclass(frozen=True)
class JobOverview:
    """What the first tab of a job's page shows."""

    waiting: WaitingShown | None
    waits: Sequence[WaitPart]
    wait_seconds: float
    has_started: bool
    compared: Sequence[QuotedAgainst]
    on_us: Sequence[OnUs]
    evictions: Sequence[EvictionShown]
    notices: Sequence[Any]
    runs: Sequence[Any]
    adapter: Any | None
    batch_id: str | None
    made: Any | None = None


@dataclass(frozen=True)
class JobTraining:
    """What the tab of the training shows: the curve and its table, and the strip of samples by step, some pinned."""

    chart: LossChart | None
    rows: Sequence[tuple[int, float | None, float | None, float | None, float | None]]
    steps_in_bucket: int
    is_log: bool
    first: int
    last: int | None
    samples: Sequence[tuple[int, Sequence[SampleAt]]]
    pinned: Sequence[int] = ()


def group_samples(samples: Sequence[SampleAt]) -> list[tuple[int, list[SampleAt]]]:
    """Group samples by their step, the newest first; a step that was done twice has those of its last time."""
    by_step: dict[int, dict[str, SampleAt]] = {}
    for each in samples:
        by_step.setdefault(each.step, {})[each.prompt] = each
    return [(step, list(by_step[step].values())) for step in sorted(by_step, reverse=True)]


def pair_samples(of_jobs: Sequence[Sequence[SampleAt]]) -> list[tuple[str, list[SampleAt | None]]]:
    """Pair the last samples of several jobs by prompt, those that more of them have first; None: it made none of it."""
    last = [{each.prompt: each for each in samples} for samples in of_jobs]
    prompts = dict.fromkeys(prompt for each in last for prompt in each)
    paired = [(prompt, [each.get(prompt) for each in last]) for prompt in prompts]
    return sorted(paired, key=lambda pair: pair[1].count(None))


# What a line leaves out: every event of a job has it, or the run's page tells it.
UNTOLD = frozenset({"run_id", "contract_id", "quote_id"})


def tell_facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tell the facts of an event by their codes: losses to four places, without ids that tell a person nothing."""
    return [
        (name, f"{value:.4f}" if isinstance(value, float) else str(value))
        for name, value in data.items()
        if value is not None and name not in UNTOLD
    ]


@dataclass(frozen=True)
class TrainingLines:
    """What the tab of the training log shows: its newest lines, the newest first."""

    log: TrainingLog
    words: str
    since: date | None
    follows: bool


@dataclass(frozen=True)
class JobLog:
    """What the tab of the log shows."""

    page: LogPage
    words: str
    follows: bool
