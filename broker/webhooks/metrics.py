"""Webhooks that are still to be taken, and endpoints that are switched off, for Prometheus."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.system import System
from broker.webhooks.delivering import count_disabled, count_pending
from broker.webhooks.model import DeliveryStatus


@dataclass
class WebhookReading:
    """How many deliveries are pending, and how many endpoints were disabled as they failed."""

    pending: int = 0
    disabled: int = 0

    async def refresh(self, system: System) -> None:
        async with system.work() as work:
            self.pending, self.disabled = await count_pending(work), await count_disabled(work)


class WebhookCollector(Collector):
    """Collects the last reading."""

    def __init__(self, reading: WebhookReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        told = "Webhooks to customers that are still to be taken."
        family = GaugeMetricFamily("broker_webhook_deliveries", told, labels=["status"])
        family.add_metric([DeliveryStatus.PENDING.value], self.reading.pending)
        yield family
        told = "Endpoints that are sent nothing more since they failed for days, or said that they are gone."
        yield GaugeMetricFamily("broker_webhook_endpoints_failed", told, value=self.reading.disabled)
