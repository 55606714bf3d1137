"""Why a job waits: what it asks for against what is free, the parts of its rank, and its wait by cause. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from broker.console.frame.menu import N_
from broker.jobs.reading.wait_causes import UNACCOUNTED, Segment, add_up_causes
from broker.jobs.reading.waiting_sums import WaitingSum
from broker.jobs.service import Job
from broker.operations.claims import Facts, list_claims, make_head
from broker.operations.peers import Head
from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, ORDINARY, OVERDUE

TIERS = {
    EXPEDITED: N_("lost its machine by our doing: goes first"),
    GUARANTEED: N_("within its contract's guarantee"),
    OVERDUE: N_("has waited as long as its queue allows"),
    ORDINARY: N_("ordinary"),
}


@dataclass(frozen=True)
class TypeRoom:
    """What a job asks for on a GPU type that it accepts, against what is there. Units: whole GPUs, GPU-seconds."""

    sku: str
    asked: int
    free: int
    total: int
    p50_seconds: int


def list_room(job: Job, facts: Facts) -> list[TypeRoom]:
    """List what there is of each type that a job accepts; of one of before, of all types."""
    types = {run.sku: run.p50_seconds for run in job.gpu_types or ()} or dict.fromkeys(facts.capacity, 0)
    rooms = []
    for sku, seconds in types.items():
        pools = [pool for pool in facts.pools if pool.sku == sku]
        free = sum(max(0, pool.free_gpus) for pool in pools if pool.open)
        rooms.append(TypeRoom(sku, job.gpus, free, sum(pool.total_gpus for pool in pools), seconds))
    return rooms


@dataclass(frozen=True)
class RankParts:
    """What ranks a job, in the order in which it is compared. Units: decayed GPU-seconds, GPUs, hundredths (weight)."""

    tier: str
    priority: int
    is_own: bool
    used_gpu_seconds: int
    held: int
    weight: int


def tell_rank(job: Job, facts: Facts) -> tuple[RankParts, Head, str]:
    """Tell what ranks a waiting job, with the GPU type for which it is counted."""
    sku = job.gpu_types[0].sku if job.gpu_types else next(iter(facts.capacity), "")
    waiting = WaitingSum(
        job.customer_id,
        job.contract_id,
        job.queue,
        job.priority,
        job.expedited_at is not None,
        sku,
        "",
        1,
        job.gpus,
        job.created_at,
    )
    claims = list_claims(facts)
    claim = next((each for each in claims.get(sku, ()) if each.contract_id == job.contract_id), None)
    head = make_head(facts, waiting, claim)
    parts = RankParts(
        TIERS[head.tier], head.priority, job.priority is not None, head.usage // 10**6, head.held, head.weight
    )
    return parts, head, sku


WAIT_WORDS = {
    "unaccounted": N_("unaccounted"),
    "paused": N_("paused"),
    "not_planned": N_("not planned yet"),
    "no_open_pool": N_("no open pool"),
    "queue_closed": N_("queue on hold"),
    "queue_limit": N_("limit of its queue"),
    "quota": N_("quota of its contract"),
    "waiting_for_gpus": N_("GPUs in use"),
    "behind_earlier_jobs": N_("others go first"),
    "maintenance": N_("maintenance"),
    "making_room": N_("others make room"),
    "guaranteed_to_others": N_("kept for guarantees"),
    "guarantee_short": N_("guarantee short of machines"),
    "batch_limit": N_("limit of its batch"),
}


@dataclass(frozen=True)
class CauseBar:
    """A cause of a wait as a part of a bar of one hundred. `shade` is the number of its colour and pattern."""

    cause: str
    words: str
    seconds: int
    x: float
    width: float
    shade: str


SHADES = 4


def draw_wait(segments: Sequence[Segment]) -> list[CauseBar]:
    """Draw the time to start as one bar, in the order in which it went; what nobody knows is told as such."""
    whole = sum(segment.seconds for segment in segments)
    if not whole:
        return []
    ranked = [cause for cause in add_up_causes(segments) if cause != UNACCOUNTED]
    bars, x = [], Fraction(0)
    for segment in segments:
        width = Fraction(100 * segment.seconds, whole)
        shade = "none" if segment.cause == UNACCOUNTED else str(ranked.index(segment.cause) % SHADES)
        words = WAIT_WORDS.get(segment.cause, segment.cause.replace("_", " "))
        bars.append(CauseBar(segment.cause, words, segment.seconds, float(x), float(width), shade))
        x += width
    return bars


def sum_wait(bars: Sequence[CauseBar]) -> list[CauseBar]:
    """Add up the parts of one cause, the longest first, what is unaccounted last: that row is always there."""
    by_cause: dict[str, CauseBar] = {}
    for bar in bars:
        known = by_cause.get(bar.cause)
        seconds = bar.seconds + (0 if known is None else known.seconds)
        by_cause[bar.cause] = CauseBar(bar.cause, bar.words, seconds, 0.0, 0.0, bar.shade)
    unaccounted = by_cause.pop(UNACCOUNTED, CauseBar(UNACCOUNTED, WAIT_WORDS[UNACCOUNTED], 0, 0.0, 0.0, "none"))
    return [*sorted(by_cause.values(), key=lambda bar: (-bar.seconds, bar.cause)), unaccounted]
