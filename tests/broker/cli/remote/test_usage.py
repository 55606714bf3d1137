"""Usage by the command: added up by groups, and its events as a file."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run
from tests.broker.served import Buyer


def report(admin: BrokerClient, buyer: Buyer, now: datetime) -> None:
    admin.post("/usage-sources", {"source": "/inference/cli", "name": "Inference"})
    event = {"specversion": "1.0", "id": "1", "source": "/inference/cli", "type": "lora.usage.measured"}
    data = {"meter": "tokens", "quantity": 1200, "labels": {"team": "tea"}}
    admin.post("/usage-events", {**event, "subject": buyer.contract_id, "time": now.isoformat(), "data": data})


def test_usage_is_added_up_and_its_events_are_exported(
    customer_run: Run, admin: BrokerClient, buyer: Buyer, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    report(admin, buyer, now)
    shown = customer_run("usage", "show", "--group-by", "source", "--group-by", "label:team")
    assert shown.exit_code == 0, shown.output
    assert "/inference/cli" in shown.stdout
    assert "1,200" in shown.stdout
    assert "1,200" in customer_run("usage", "show", "--group-by", "source", "--group-by", "meter").stdout
    assert "1,200" not in customer_run("usage", "show", "--label", "team=coffee").stdout
    found = json.loads(customer_run("usage", "show", "--group-by", "label:team", "--json").stdout)["data"]
    assert "tea" in [each["group"]["label:team"] for each in found if each["tokens"] == 1200]
    window = ("--from", f"{now - timedelta(hours=1):%FT%TZ}", "--to", f"{now + timedelta(hours=1):%FT%TZ}")
    file = tmp_path / "usage.csv"
    assert customer_run("usage", "export", *window, "-o", str(file), "--format", "csv").exit_code == 0
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")))
    assert "1200" in [row["tokens"] for row in rows if row["source"] == "/inference/cli"]
    assert customer_run("usage", "show", "--group-by", "colour").exit_code == ExitCode.REFUSED
