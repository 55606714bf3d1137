"""The values that the planner plans with: pools, queues, jobs that wait and run; and what a plan is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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

    `skus` are the types, and `p50_seconds` is what it takes on the fastest: both are worked out once.
    """

    gpus: int
    options: tuple[TypeOption, ...]
    preference: Preference = Preference.CHEAPEST
    finish_by: datetime | None = None
    skus: tuple[str | None, ...] = field(init=False, compare=False, repr=False)
    p50_seconds: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "skus", tuple([option.sku for option in self.options]))
        object.__setattr__(self, "p50_seconds", min([option.p50_seconds for option in self.options]))

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

    `submitted_at` is its age, which no retry, preemption or requeue takes from it. `seconds_done` is what it ran
    before; `expedited`: it lost its machine by our doing and goes first. Units: seconds.
    """

    job_id: str
    contract_id: str
    queue: str
    shape: Shape
    submitted_at: datetime
    pool: str | None = None
    seconds_done: int = 0
    restart_seconds: int = 0
    expedited: bool = False

    @property
    def gpus(self) -> int:
        return self.shape.gpus


@dataclass(frozen=True, slots=True)
class Place:
    """GPUs of one node."""

    node: str
    gpus: int


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that holds GPUs of a pool. `places` empty: of the pool's only node, which has the pool's name.

    `p50_end` and `p90_end` are expected (None: as `p50_end`). What it did since `checkpoint_at` (None: since
    `started_at`) is lost if it is stopped, and `restart_seconds` more; a GPU-second of it is worth `rate_micros`.
    Units: whole GPUs, seconds, micro-yuan.
    """

    job_id: str
    contract_id: str
    pool: str
    gpus: int
    started_at: datetime
    p50_end: datetime
    p90_end: datetime | None = None
    queue: str = ""
    places: tuple[Place, ...] = ()
    checkpoint_at: datetime | None = None
    restart_seconds: int = 0
    rate_micros: int = 0
    submitted_at: datetime | None = None
    seconds_done: int = 0


class NodeState(StrEnum):
    """OPEN: takes starts. DRAINING: lets its runs end. DOWN: its runs are lost, too."""

    OPEN = "open"
    DRAINING = "draining"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Window:
    """A time of maintenance: nothing starts that is expected to run into it."""

    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a pool. `unavailable` GPUs are held by nobody whom the planner knows. Units: whole GPUs."""

    name: str
    total: int
    unavailable: int = 0
    state: NodeState = NodeState.OPEN
    windows: tuple[Window, ...] = ()


class Discipline(StrEnum):
    """In which order a pool takes jobs; the last two also stop running jobs for better ones."""

    FAIR = "fair"
    FIRST_COME = "first-come"
    SHORTEST_REMAINING = "shortest-remaining-service"
    LEAST_ATTAINED = "least-attained-service"


@dataclass(frozen=True)
class PoolState:
    """GPUs of one kind that are handed out together, in whole GPUs. A closed pool starts nothing new.

    `closure` says in a sentence why it is closed. `nodes` empty: one node with the pool's name. `free_gpus` is what a
    snapshot says is free; a planner that is told all runs counts itself. `spans_nodes`: a job larger than a node takes
    whole nodes. `preemptions_left`: so many of its runs may still be stopped for others in this hour, each once it has
    run for `least_run`.
    """

    name: str
    sku: str
    total_gpus: int
    free_gpus: int
    open: bool = True
    closure: str | None = None
    nodes: tuple[Node, ...] = ()
    discipline: Discipline = Discipline.FAIR
    spans_nodes: bool = False
    preemptions_left: int = 0
    least_run: timedelta = timedelta(minutes=10)


@dataclass(frozen=True)
class QueueLimits:
    """How much may run from a queue at one time, and how many GPU-seconds of its window are left; None: no limit."""

    jobs: int | None = None
    gpus: int | None = None
    gpu_seconds_left: int | None = None


NO_LIMITS = QueueLimits()


class QueueMode(StrEnum):
    """OPEN: takes jobs and starts them. HOLDING: takes them, starts none. DRAINING: starts what waits, takes none."""

    OPEN = "open"
    HOLDING = "holding"
    DRAINING = "draining"


@dataclass(frozen=True)
class QueueState:
    """A queue; the higher priority goes first. Queues of equal priority share one line.

    A job that has waited for `max_wait` goes before all priorities. `allowed_pools` None: all. `contract_id` is whose
    dedicated queue it is: its contract's guarantee serves it. A job of it counts `weight` hundredths of a share.
    """

    name: str
    priority: int
    open: bool = True
    mode: QueueMode = QueueMode.OPEN
    max_wait: timedelta | None = None
    limits: QueueLimits = NO_LIMITS
    allowed_pools: frozenset[str] | None = None
    contract_id: str | None = None
    weight: int = 100

    @property
    def starts_jobs(self) -> bool:
        return self.open and self.mode != QueueMode.HOLDING


@dataclass(frozen=True)
class Guarantee:
    """GPUs of one type that a contract may always have. `lent_percent` of what it leaves idle others may use."""

    sku: str
    gpus: int
    lent_percent: int = 100


@dataclass(frozen=True)
class ContractShare:
    """What a contract is due, and what it had lately.

    `weight` is in hundredths: 200 is due twice as much as 100. `usage` is in GPU-microseconds, decayed to one moment
    that is the same for all contracts. `most_gpus` is its quota; None: none.
    """

    contract_id: str
    weight: int = 100
    usage: int = 0
    guarantees: tuple[Guarantee, ...] = ()
    most_gpus: int | None = None


@dataclass(frozen=True)
class Kept:
    """GPUs that are kept for one job until a moment: freed by its victims, or those of the machine that it lost."""

    job_id: str
    pool: str
    node: str
    gpus: int
    until: datetime


@dataclass(frozen=True)
class ClusterSnapshot:
    """All that one plan is made of."""

    pools: tuple[PoolState, ...]
    queues: tuple[QueueState, ...]
    waiting: tuple[WaitingJob, ...]
    running: tuple[RunningJob, ...]
    shares: tuple[ContractShare, ...] = ()
    kept: tuple[Kept, ...] = ()


class ReasonCode(StrEnum):
    """Why a job waits, by precedence: the first that holds is told.

    The first four never end by waiting, the next four last until somebody changes something, the next five until others
    have ended; the last two are turns in a line.
    """

    QUEUE_UNKNOWN = "queue_unknown"
    POOL_UNKNOWN = "pool_unknown"
    NO_POOL_OF_TYPE = "no_pool_of_type"
    TOO_LARGE_FOR_POOL = "too_large_for_pool"
    QUEUE_CLOSED = "queue_closed"
    POOL_CLOSED = "pool_closed"
    NO_OPEN_POOL = "no_open_pool"
    POOL_NOT_ALLOWED = "pool_not_allowed"
    QUEUE_LIMIT = "queue_limit"
    QUOTA = "quota"
    GUARANTEED_TO_OTHERS = "guaranteed_to_others"
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
    """A run that is to stop, for whom, and what of its work is lost. Units: whole GPUs, seconds, micro-yuan."""

    job_id: str
    for_job: str
    pool: str
    node: str
    gpus: int
    grace_seconds: int
    lost_micros: int


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
    """Every waiting job of the snapshot, once: in `starts`, or in `waits` by position."""

    starts: tuple[Start, ...]
    waits: tuple[Wait, ...]
