"""`GET /metrics`: what the database says, in the text format of Prometheus; the same from every process."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from broker.estimator.metrics import EstimatorCollector
from broker.estimator.watch import AccuracyReading
from broker.system import System

# Anybody may ask for the metrics; the database is not asked more often than this.
READING_KEPT = timedelta(seconds=1)


@dataclass
class Metrics:
    """What one process tells of the service; the database is read when somebody asks."""

    system: System
    reading: AccuracyReading = field(default_factory=AccuracyReading)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    read_at: datetime | None = None

    def __post_init__(self) -> None:
        self.registry.register(EstimatorCollector(self.reading))

    async def refresh(self) -> None:
        now = self.system.services.clock()
        if self.read_at is None or now - self.read_at >= READING_KEPT:
            await self.reading.refresh(self.system)
            self.read_at = now


def add_metrics_route(app: FastAPI, measured: Metrics) -> None:
    """Add the route `/metrics`, which needs no key, as health does not: it tells of no customer."""

    @app.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """Tell what is measured, in the text format of Prometheus."""
        await measured.refresh()
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return PlainTextResponse(encode(measured.registry), media_type=media_type)
