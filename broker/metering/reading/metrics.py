"""The metric of usage in quarantine for Prometheus, as of the last reading. It tells of no customer."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from broker.metering.events.evidence import Doubt
from broker.metering.keeping.quarantine import count_quarantined
from broker.system import System


@dataclass
class QuarantineReading:
    """How many intervals were ever quarantined, by reason: none leaves the table."""

    counts: dict[Doubt, int] = field(default_factory=dict)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.counts = await count_quarantined(work)


@dataclass(eq=False)
class QuarantineCollector(Collector):
    """Collects the last reading."""

    reading: QuarantineReading

    def collect(self) -> Iterator[CounterMetricFamily]:
        quarantined = CounterMetricFamily(
            "broker_quarantined_usage_intervals",
            "Intervals of usage that were reported and are charged to nobody.",
            labels=["reason"],
        )
        for reason, count in self.reading.counts.items():
            quarantined.add_metric([reason.value], count)
        yield quarantined
