"""`GET /metrics`: what the database says, in the text format of Prometheus; the same from every process."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from broker.arrears.metrics import ArrearsCollector, ArrearsReading
from broker.capacity.metrics import CapacityCollector, CapacityReading
from broker.estimator.metrics import EstimatorCollector
from broker.estimator.watch import AccuracyReading
from broker.metering.reading.metrics import QuarantineCollector, QuarantineReading
from broker.notices.metrics import NoticeCollector, NoticeReading
from broker.operations.metrics import ServiceCollector, ServiceReading
from broker.payments.stripe.metrics import StripeCollector, StripeReading
from broker.persistence.faults import find_fault
from broker.retention.metrics import SweepCollector, SweepReading
from broker.scheduling.cycle.metrics import QueueCollector, QueueReading
from broker.system import System
from broker.webhooks.metrics import WebhookCollector, WebhookReading

# Anybody may ask for the metrics; the database is not asked more often than this.
READING_KEPT = timedelta(seconds=1)


class Reading(Protocol):
    """What is read of the database for one collector."""

    async def refresh(self, system: System) -> None: ...


@dataclass
class Metrics:
    """What one process tells of the service; the database is read when somebody asks."""

    system: System
    accuracy: AccuracyReading = field(default_factory=AccuracyReading)
    queues: QueueReading = field(default_factory=QueueReading)
    capacity: CapacityReading = field(default_factory=CapacityReading)
    swept: SweepReading = field(default_factory=SweepReading)
    quarantine: QuarantineReading = field(default_factory=QuarantineReading)
    service: ServiceReading = field(default_factory=ServiceReading)
    arrears: ArrearsReading = field(default_factory=ArrearsReading)
    notices: NoticeReading = field(default_factory=NoticeReading)
    stripe: StripeReading = field(default_factory=StripeReading)
    webhooks: WebhookReading = field(default_factory=WebhookReading)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    read_at: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.registry.register(EstimatorCollector(self.accuracy))
        self.registry.register(QueueCollector(self.queues))
        self.registry.register(CapacityCollector(self.capacity))
        self.registry.register(SweepCollector(self.swept))
        self.registry.register(QuarantineCollector(self.quarantine))
        self.registry.register(ServiceCollector(self.service))
        self.registry.register(ArrearsCollector(self.arrears))
        self.registry.register(NoticeCollector(self.notices))
        self.registry.register(StripeCollector(self.stripe))
        self.registry.register(WebhookCollector(self.webhooks))

    async def refresh(self) -> None:
        """Read the database, for one scrape at a time. A reading that fails leaves the others, and its own last one."""
        async with self.turn:
            now = self.system.services.clock()
            if self.read_at is None or now - self.read_at >= READING_KEPT:
                await self._read("the accuracy of estimates", self.accuracy)
                await self._read("the queues", self.queues)
                await self._read("agents and pools", self.capacity)
                await self._read("what was swept", self.swept)
                await self._read("usage in quarantine", self.quarantine)
                await self._read("cycles, books and outbox", self.service)
                await self._read("contracts in arrears", self.arrears)
                await self._read("notices", self.notices)
                await self._read("what waits at Stripe", self.stripe)
                await self._read("webhooks", self.webhooks)
                self.read_at = now

    async def _read(self, name: str, reading: Reading) -> None:
        """Refresh one reading. Raises: what says that the database is away, which is no matter of one reading."""
        what = f"reading {name} for /metrics"
        try:
            await reading.refresh(self.system)
        except Exception as error:
            if find_fault(error) is not None:
                raise
            self.system.services.note_failure(what, error)
        else:
            self.system.services.failures.settle(what)


def add_metrics_route(app: FastAPI) -> None:
    """Add the route `/metrics`, which needs no key, as health does not: it tells of no customer.

    What it measures is the `Metrics` in `app.state.metrics`.
    """

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """Tell what is measured, in the text format of Prometheus."""
        measured: Metrics = request.app.state.metrics
        await measured.refresh()
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return PlainTextResponse(encode(measured.registry), media_type=media_type)
