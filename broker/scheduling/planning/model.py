"""The values that the planner plans with: pools, queues, jobs that wait and that run; and what a plan is. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Preference(StrEnum):
    """Which of the GPU types that fit a job takes: the cheapest that meets its date, or the fastest that it can pay."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"


@dataclass(frozen=True, slots=True)
class TypeOption:
    """What a job's run takes on one GPU type. Units: seconds, micro-yuan for the whole run.

    `sku` None: on whatever type.
    """

    sku: str | None
    p50_seconds: int
    p90_seconds: int
    price_micros: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What a job needs to start: whole GPUs, all on one node, of one of these types.

    Jobs of one contract in one queue with equal shapes are one class: the planner looks at the first of them only.
    """

    gpus: int
    options: tuple[TypeOption, ...]
    preference: Preference = Preference.CHEAPEST
    finish_by: datetime | None = None

    @classmethod
    def of_any_type(cls, gpus: int, p50_seconds: int, p90_seconds: int | None = None) -> "Shape":
        """Make the shape of a job that takes as long on any type."""
        return cls(gpus, (TypeOption(None, p50_seconds, p50_seconds if p90_seconds is None else p90_seconds),))

    def find_option(self, sku: str) -> TypeOption | None:
        """Find what the job takes on a GPU type; None: it does not accept that type."""
        return next((option for option in self.options if option.sku in (None, sku)), None)


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """An admitted job that holds no GPU yet; `pool` None means any pool.

    `submitted_at` is its age, which no retry, preemption or requeue takes from it. Units: seconds.
    """

    job_id: str
    contract_id: str
    queue: str
    shape: Shape
    submitted_at: datetime
    pool: str | None = None

    @property
    def gpus(self) -> int:
        return self.shape.gpus


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that holds its GPUs, already subtracted from its pool's `free_gpus`. `p90_end` None: as `p50_end`."""

    job_id: str
    contract_id: str
    pool: str
    gpus: int
    started_at: datetime
    p50_end: datetime
    p90_end: datetime | None = None


@dataclass(frozen=True)
class PoolState:
    """GPUs of one kind that are handed out together, in whole GPUs. A closed pool starts nothing new.

    `closure` says in a sentence why it is closed.
    """

    name: str
    sku: str
    total_gpus: int
    free_gpus: int
    open: bool = True
    closure: str | None = None


@dataclass(frozen=True)
class QueueState:
    """A queue; the higher priority goes first. Queues of equal priority share one line."""

    name: str
    priority: int
    open: bool = True


@dataclass(frozen=True)
class ClusterSnapshot:
    """All that one plan is made of."""

    pools: tuple[PoolState, ...]
    queues: tuple[QueueState, ...]
    waiting: tuple[WaitingJob, ...]
    running: tuple[RunningJob, ...]


class ReasonCode(StrEnum):
    """Why a job waits. The first two are turns in a line; the others last until somebody changes something."""

    WAITING_FOR_GPUS = "waiting_for_gpus"
    BEHIND_EARLIER_JOBS = "behind_earlier_jobs"
    QUEUE_UNKNOWN = "queue_unknown"
    QUEUE_CLOSED = "queue_closed"
    POOL_UNKNOWN = "pool_unknown"
    POOL_CLOSED = "pool_closed"
    NO_OPEN_POOL = "no_open_pool"
    NO_POOL_OF_TYPE = "no_pool_of_type"
    TOO_LARGE_FOR_POOL = "too_large_for_pool"


@dataclass(frozen=True)
class Reason:
    """Why a job waits, as code and sentence."""

    code: ReasonCode
    message: str


@dataclass(frozen=True)
class Start:
    """A waiting job that may start now, and where."""

    job_id: str
    pool: str
    gpus: int


@dataclass(frozen=True)
class Wait:
    """A job left waiting; `position` counts from 1, `expected_start` is None where it cannot be known."""

    job_id: str
    position: int
    reason: Reason
    expected_start: datetime | None


@dataclass(frozen=True)
class CyclePlan:
    """Every waiting job of the snapshot, once: in `starts`, or in `waits` by position."""

    starts: tuple[Start, ...]
    waits: tuple[Wait, ...]
