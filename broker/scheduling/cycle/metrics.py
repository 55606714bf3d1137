"""The scheduler's metrics for Prometheus, as of their last reading of the database."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from broker.capacity import readiness
from broker.capacity import service as capacity
from broker.jobs.reading.evictions import count_evictions
from broker.jobs.reading.line import SET_ASIDE
from broker.jobs.reading.queueing import count_waiting
from broker.scheduling.cycle.guarantees import add_up_guarantees, read_guarantees
from broker.scheduling.cycle.snapshot import read_pools
from broker.system import System


@dataclass
class QueueReading:
    """How many jobs wait for which reason, as last read; None: not read yet. And how many runs ever made room.

    `guaranteed`: how many GPUs of each type are guaranteed, and how many of these are there.
    """

    waiting: dict[str, int] | None = None
    evictions: dict[tuple[str, str], int] = field(default_factory=dict)
    guaranteed: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.waiting = await count_waiting(work)
            self.evictions = await count_evictions(work)
            pools, _holders = await read_pools(work, await readiness.list_pools(work))
            guarantees = await read_guarantees(work, await capacity.list_queues(work), pools)
            self.guaranteed = add_up_guarantees(each for own in guarantees.values() for each in own)


class QueueCollector(Collector):
    """Collects the last reading, once there is one."""

    def __init__(self, reading: QueueReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[Metric]:
        if self.reading.waiting is None:
            return
        yield GaugeMetricFamily(
            "broker_jobs_set_aside",
            "Queued jobs that cannot be read or started; the log names each and says why.",
            self.reading.waiting.get(SET_ASIDE, 0),
        )
        by_reason = GaugeMetricFamily(
            "broker_jobs_waiting", "Queued jobs by the reason that they wait for.", labels=["reason"]
        )
        for reason, number in sorted(self.reading.waiting.items()):
            by_reason.add_metric([reason], number)
        yield by_reason
        evicted = CounterMetricFamily(
            "broker_evictions", "Runs that made room for others, by why and how they ended.", labels=["reason", "cause"]
        )
        for (reason, cause), number in sorted(self.reading.evictions.items()):
            evicted.add_metric([reason, cause], number)
        yield evicted
        yield from self._collect_guarantees()

    def _collect_guarantees(self) -> Iterator[Metric]:
        sold = GaugeMetricFamily("broker_guaranteed_gpus", "GPUs guaranteed to contracts now.", labels=["gpu_type"])
        there = GaugeMetricFamily(
            "broker_guaranteed_gpus_available", "Those of them that take starts.", labels=["gpu_type"]
        )
        for gpu_type, (promised, available) in sorted(self.reading.guaranteed.items()):
            sold.add_metric([gpu_type], promised)
            there.add_metric([gpu_type], available)
        yield from (sold, there)
