"""What ships for Prometheus and Grafana asks for metrics that exist, in queries that parse."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.exposition import generate_latest

from broker.metrics import Metrics
from broker.system import System
from pricing.unique_yaml import load_yaml

ROOT = Path(__file__).parents[3]
ALERTS = load_yaml((ROOT / "deploy/prometheus/alerts.yaml").read_text())
BOARD = json.loads((ROOT / "deploy/grafana/lora-broker.json").read_text())
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]


def list_queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in BOARD["panels"] for target in panel["targets"])


async def test_every_metric_that_is_asked_for_is_exposed(system: System) -> None:
    metrics = Metrics(system)
    await metrics.refresh()
    exposed = set(re.findall(r"^# TYPE (\S+)", generate_latest(metrics.registry).decode(), re.MULTILINE))
    asked = {name for query in list_queries() for name in re.findall(r"\bbroker_\w+", query)}
    assert asked <= exposed
    assert len(asked) > 15


@pytest.mark.parametrize("query", sorted(set(list_queries())))
def test_query_parses(query: str) -> None:
    promql_parser.parse(query)


def test_every_alert_says_what_to_do_and_operations_tell_it() -> None:
    told = (ROOT / "docs/operations.md").read_text()
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert f"### {rule['alert']}\n" in told
        assert rule["labels"]["severity"] in {"page", "ticket"}
