"""What was swept, for Prometheus, as of the last reading of the database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from broker.retention.model import Removed
from broker.retention.service import read_swept
from broker.system import System


@dataclass
class SweepReading:
    """What was swept so far, by kind."""

    swept: Mapping[str, Removed] = field(default_factory=dict)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.swept = await read_swept(work)


class SweepCollector(Collector):
    """Collects the last reading."""

    def __init__(self, reading: SweepReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[CounterMetricFamily]:
        removed = CounterMetricFamily("broker_swept", "Things that nobody needed any more, removed.", labels=["kind"])
        freed = CounterMetricFamily("broker_swept_bytes", "Bytes of files that were removed.", labels=["kind"])
        for kind, counted in sorted(self.reading.swept.items()):
            removed.add_metric([kind], counted.count)
            freed.add_metric([kind], counted.size_bytes)
        yield removed
        yield freed
