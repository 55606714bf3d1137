"""`GET /metrics`: one reading that fails leaves the others, and a database that is away is no reading's matter."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psycopg
import pytest
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus
from sqlalchemy.exc import OperationalError

from broker.estimator.watch import AccuracyReading
from broker.metrics import Metrics
from broker.system import System
from tests.broker.factories import Api, make_ready_customer


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


@pytest.mark.parametrize(
    ("accept", "media_type", "parse"),
    [
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text",
            read_openmetrics,
        ),
        ("text/plain;version=0.0.4", "text/plain", read_prometheus),
        ("*/*", "text/plain", read_prometheus),
    ],
    ids=["openmetrics", "prometheus", "whatever"],
)
async def test_what_is_measured_is_read_by_the_parser_that_was_asked_for(
    api: Api, system: System, accept: str, media_type: str, parse: Callable[[str], Iterable[Metric]]
) -> None:
    """A scraper that asks for OpenMetrics gets what its strict parser takes, all families of all readings."""
    await make_ready_customer(api)
    answer = await api.http.get("http://localhost/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(media_type)
    names = {family.name for family in parse(answer.text)}
    assert {"broker_jobs_set_aside", "broker_notices", "broker_webhook_deliveries", "broker_outbox_pending"} <= names
    assert answer.text.endswith("# EOF\n") == ("openmetrics" in media_type)
