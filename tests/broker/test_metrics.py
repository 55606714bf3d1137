"""`GET /metrics`: one reading that fails leaves the others, and a database that is away is no reading's matter."""

from dataclasses import dataclass

import psycopg
import pytest
from prometheus_client.exposition import generate_latest
from sqlalchemy.exc import OperationalError

from broker.estimator.watch import AccuracyReading
from broker.metrics import Metrics
from broker.system import System


@dataclass
class FailingReading(AccuracyReading):
    """A reading that raises what it is given."""

    error: Exception | None = None

    async def refresh(self, system: System) -> None:  # noqa: ARG002 (as every reading)
        assert self.error is not None
        raise self.error


async def test_reading_that_fails_leaves_the_others(system: System, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(system, accuracy=FailingReading(error=KeyError("a row")))
    await metrics.refresh()
    assert "broker_jobs_set_aside 0.0" in generate_latest(metrics.registry).decode()
    assert "reading the accuracy of estimates for /metrics failed" in caplog.text


async def test_database_that_is_away_is_told_to_who_asks(system: System) -> None:
    away = OperationalError("SELECT 1", {}, psycopg.OperationalError("the server is gone"))
    metrics = Metrics(system, accuracy=FailingReading(error=away))
    with pytest.raises(OperationalError):
        await metrics.refresh()
    assert metrics.read_at is None, "the next scrape asks again"
