"""All that one plan is made of. Pure."""

from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState


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
