"""How many GPU-seconds there were to run on, by pool. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from broker.scheduling.planning.values.pools import NodeState, PoolState


@dataclass
class Offered:
    """Adds up the GPUs of pools over time; those of nodes that are down are not there, nor those that nobody knows."""

    now: datetime
    gpus: dict[str, int] = field(default_factory=dict)
    gpu_seconds: dict[str, float] = field(default_factory=dict)

    def change(self, pools: Iterable[PoolState], now: datetime) -> None:
        """Take what there is from now on."""
        self.count_to(now)
        self.gpus = {pool.name: count_offered(pool) for pool in pools}

    def count_to(self, now: datetime) -> None:
        seconds = (now - self.now).total_seconds()
        for name, gpus in self.gpus.items():
            self.gpu_seconds[name] = self.gpu_seconds.get(name, 0.0) + gpus * seconds
        self.now = now


def count_offered(pool: PoolState) -> int:
    """Count the GPUs of a pool that are there, busy ones included."""
    if not pool.nodes:
        return pool.total_gpus
    return sum(node.total - node.unavailable for node in pool.nodes if node.state != NodeState.DOWN)
