"""What a plan answers: who starts where, whom it stops, and why each other job waits. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from broker.scheduling.planning.values.jobs import Place


class ReasonCode(StrEnum):
    """Why a job waits, by precedence: the first that holds is told.

    The first eight never end by waiting, the next four last until somebody changes something, the next six until others
    have ended; the last two are turns in a line.
    """

    QUEUE_UNKNOWN = "queue_unknown"
    POOL_UNKNOWN = "pool_unknown"
    NO_POOL_OF_TYPE = "no_pool_of_type"
    TOO_LARGE_FOR_POOL = "too_large_for_pool"
    POOL_NEVER_ALLOWED = "pool_never_allowed"
    TOO_LARGE_FOR_QUEUE = "too_large_for_queue"
    TOO_LONG_FOR_QUEUE = "too_long_for_queue"
    TOO_LARGE_FOR_QUOTA = "too_large_for_quota"
    QUEUE_CLOSED = "queue_closed"
    POOL_CLOSED = "pool_closed"
    NO_OPEN_POOL = "no_open_pool"
    POOL_NOT_ALLOWED = "pool_not_allowed"
    QUEUE_LIMIT = "queue_limit"
    QUOTA = "quota"
    BATCH_LIMIT = "batch_limit"
    GUARANTEED_TO_OTHERS = "guaranteed_to_others"
    GUARANTEE_SHORT = "guarantee_short"
    MAINTENANCE = "maintenance"
    MAKING_ROOM = "making_room"
    WAITING_FOR_GPUS = "waiting_for_gpus"
    BEHIND_EARLIER_JOBS = "behind_earlier_jobs"


@dataclass(frozen=True)
class Reason:
    """Why a job waits, as code and sentence; what was read for it, and what helps. English, and Chinese (`_zh`)."""

    code: ReasonCode
    message: str
    message_zh: str = field(default="", compare=False)
    next_step: str = field(default="", compare=False)
    next_step_zh: str = field(default="", compare=False)
    evidence: Mapping[str, int | str | None] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Start:
    """A waiting job that may start now, and where; `borrowed`: beyond what its contract is guaranteed."""

    job_id: str
    pool: str
    gpus: int
    places: tuple[Place, ...] = ()
    borrowed: bool = True


@dataclass(frozen=True, slots=True)
class Preemption:
    """A run that is to stop, for whom, and what of its work is lost. Units: whole GPUs, seconds, micro-yuan.

    `kept_gpus` of its node are kept for that job; `within_guarantee`: it takes back what was lent of its guarantee,
    else it ranks before the run by the discipline of the pool.
    """

    job_id: str
    for_job: str
    pool: str
    node: str
    gpus: int
    grace_seconds: int
    lost_micros: int
    kept_gpus: int = 0
    within_guarantee: bool = True


@dataclass(frozen=True)
class Wait:
    """A job left waiting; `position` counts from 1, a start is None where it cannot be known.

    `expected_start` is when it would start if all took their p50, `latest_start` if all took their p90.
    """

    job_id: str
    position: int
    reason: Reason
    expected_start: datetime | None
    latest_start: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class CyclePlan:
    """Every waiting job of the snapshot, once: in `starts`, or in `waits` by position; and who is to stop for them."""

    starts: tuple[Start, ...]
    waits: tuple[Wait, ...]
    preemptions: tuple[Preemption, ...] = ()
