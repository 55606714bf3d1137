"""What waits and what runs: jobs, what each needs to start, and the GPUs that it holds. Pure."""

from dataclasses import dataclass, field
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

    `skus` are the types, `p50_seconds` is what it takes on the fastest, and `spread` how many times as long its p90 is
    on the slowest, by powers of two from a half on: they are worked out once.
    """

    gpus: int
    options: tuple[TypeOption, ...]
    preference: Preference = Preference.CHEAPEST
    finish_by: datetime | None = None
    skus: tuple[str | None, ...] = field(init=False, compare=False, repr=False)
    p50_seconds: int = field(init=False, compare=False, repr=False)
    spread: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "skus", tuple([option.sku for option in self.options]))
        object.__setattr__(self, "p50_seconds", min([option.p50_seconds for option in self.options]))
        longest = max([option.p90_seconds for option in self.options])
        object.__setattr__(self, "spread", (2 * longest // max(self.p50_seconds, 1)).bit_length())

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
    before; `expedited`: it lost its machine by our doing and goes first. `priority`: its own, in place of its queue's.
    Units: seconds.
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
    priority: int | None = None

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
    `is_stopping`: it was told to stop, for whatever reason, and needs not be told again.
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
    is_stopping: bool = False
