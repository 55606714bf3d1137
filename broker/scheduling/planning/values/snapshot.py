"""All that one plan is made of. Pure."""

from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState


@dataclass(frozen=True)
class Kept:
    """GPUs that are kept for one job until a moment: freed by its victims, or those of the machine that it lost.

    While one of its `victims` still runs they are kept however long that takes, and nobody else is stopped for it.
    """

    job_id: str
    pool: str
    node: str
    gpus: int
    until: datetime
    victims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Jobs that were submitted together, of which `at_once` may run at one time, in their order.

    `present` are those that run or may start, by their ids; the others are `held` until one of these has ended.
    """

    batch_id: str
    at_once: int
    present: tuple[str, ...]
    held: tuple[WaitingJob, ...]


@dataclass(frozen=True)
class ClusterSnapshot:
    """All that one plan is made of. Whom their batches hold back are not among those who wait: they cannot start."""

    pools: tuple[PoolState, ...]
    queues: tuple[QueueState, ...]
    waiting: tuple[WaitingJob, ...]
    running: tuple[RunningJob, ...]
    shares: tuple[ContractShare, ...] = ()
    kept: tuple[Kept, ...] = ()
    batches: tuple[Batch, ...] = ()
