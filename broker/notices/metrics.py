"""Notices by whether they were sent, for Prometheus, as of the last reading of the database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.notices.model import NoticeStatus
from broker.notices.sending import count_by_status
from broker.system import System


@dataclass
class NoticeReading:
    """How many notices are sent, still to be sent, or given up."""

    counts: Mapping[str, int] = field(default_factory=dict)

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.counts = await count_by_status(work)


class NoticeCollector(Collector):
    """Collects the last reading."""

    def __init__(self, reading: NoticeReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("broker_notices", "Notices to customers, by status.", labels=["status"])
        for status in NoticeStatus:
            family.add_metric([status.value], self.reading.counts.get(status.value, 0))
        yield family
