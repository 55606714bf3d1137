"""What jobs come from: queues with their limits, and contracts with their share and guarantees. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True)
class QueueLimits:
    """How much may run from a queue at one time, and how many GPU-seconds in each window; None: no limit.

    `gpu_seconds_left`: what of `gpu_seconds` is neither used in the window that ends now nor expected of what runs.
    """

    jobs: int | None = None
    gpus: int | None = None
    gpu_seconds_left: int | None = None
    gpu_seconds: int | None = None
    window: timedelta | None = None


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
    """GPUs of one type that a contract may always have. At most `most_lent` of what it leaves idle others may use.

    None: all. `promised` is what was sold, where machines that failed leave less of it than that; None: all is there.
    """

    sku: str
    gpus: int
    most_lent: int | None = None
    promised: int | None = None


@dataclass(frozen=True)
class ContractShare:
    """What a contract is due, and what it had lately.

    `weight` is in hundredths: 200 is due twice as much as 100. `usage` is in GPU-microseconds, decayed to one moment
    that is the same for all contracts. `most_gpus` and `most_jobs` at one time are its quota; None: none.
    """

    contract_id: str
    weight: int = 100
    usage: int = 0
    guarantees: tuple[Guarantee, ...] = ()
    most_gpus: int | None = None
    most_jobs: int | None = None
