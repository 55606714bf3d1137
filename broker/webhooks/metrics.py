"""Webhooks by whether they were taken, and endpoints that are switched off, for Prometheus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.system import System
from broker.webhooks.delivering import count_by_status, count_disabled
from broker.webhooks.model import DeliveryStatus


@dataclass
class WebhookReading:
    """How many deliveries are pending, delivered or given up, and how many endpoints were disabled as they failed."""

    counts: Mapping[str, int] = field(default_factory=dict)
    disabled: int = 0

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.counts, self.disabled = await count_by_status(work), await count_disabled(work)


class WebhookCollector(Collector):
    """Collects the last reading."""

    def __init__(self, reading: WebhookReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("broker_webhook_deliveries", "Webhooks to customers, by status.", labels=["status"])
        for status in DeliveryStatus:
            family.add_metric([status.value], self.reading.counts.get(status.value, 0))
        yield family
        told = "Endpoints that are sent nothing more since they failed for days, or said that they are gone."
        yield GaugeMetricFamily("broker_webhook_endpoints_failed", told, value=self.reading.disabled)
