"""The scheduler's metrics for Prometheus, as of their last reading of the database."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.jobs.reading.queueing import count_set_aside
from broker.system import System


@dataclass
class QueueReading:
    """What the queues hold, as last read; None: not read yet."""

    set_aside: int | None = None

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.set_aside = await count_set_aside(work)


class QueueCollector(Collector):
    """Collects the last reading, once there is one."""

    def __init__(self, reading: QueueReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self.reading.set_aside is not None:
            yield GaugeMetricFamily(
                "broker_jobs_set_aside",
                "Queued jobs that cannot be read or started; the log names each and says why.",
                self.reading.set_aside,
            )
