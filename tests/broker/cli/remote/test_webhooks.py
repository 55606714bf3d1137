"""`broker webhooks` against a served broker: an endpoint is named, tested in vain, shown with what came of it."""

import itertools
import json
from typing import Any

from broker.cli.failures import ExitCode
from broker.cli.remote.webhooks import _make_attempt_row, _make_event_row, _make_note
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run

NUMBERS = itertools.count(1)


def test_an_endpoint_from_its_name_to_its_end(run: Run, admin: BrokerClient) -> None:
    name = f"ci {next(NUMBERS)}"
    customer = admin.post("/customers", {"name": f"Hooks {name}"})["id"]
    made = run("webhooks", "create", name, "https://hooks.invalid/a", "--type", "job.ended", "--customer", customer)
    assert (made.exit_code, "whsec_" in made.stdout, "shown this once" in made.stdout) == (ExitCode.OK, True, True)
    changed = json.loads(run("webhooks", "change", name, "--to", "https://hooks.invalid/b", "--json").stdout)
    assert (changed["url"], changed["event_types"]) == ("https://hooks.invalid/b", ["job.ended"])
    tested = json.loads(run("webhooks", "test", name, "--json").stdout)
    deliveries = run("webhooks", "deliveries", changed["id"][:20]).stdout
    assert (tested["event_type"], "webhook.test" in deliveries) == ("webhook.test", True)
    assert tested["event_id"] in run("webhooks", "events", "--type", "webhook.test").stdout
    assert "1 events" in run("webhooks", "replay", name, "--event", tested["event_id"]).stdout
    rotated = run("webhooks", "rotate", name, "--overlap", "1")
    assert "Former secret until" in rotated.stdout
    switched = run("webhooks", "change", name, "--disable")
    assert "disabled (by hand)" in switched.stdout
    assert name in run("webhooks", "list").stdout
    assert run("webhooks", "attempts", name).exit_code == ExitCode.OK
    assert "is removed" in run("webhooks", "remove", name).stdout
    missing = run("webhooks", "show", name)
    assert (missing.exit_code, "no endpoint is" in missing.stderr) == (ExitCode.USAGE, True)


def test_an_attempt_that_failed_tells_why_below_it() -> None:
    attempt: Any = {
        "created_at": "2026-11-24T10:00:00.123Z",
        "event_id": "evt_1",
        "event_type": "job.ended",
        "number": 2,
        "status_code": 500,
        "duration_ms": 84,
        "error": "it answered 500",
        "answer": "oops\nno disk",
    }
    assert _make_attempt_row(attempt) == ["2026-11-24T10:00:00", "evt_1", "job.ended", "2", "500", "84"]
    assert _make_note(attempt) == "it answered 500: oops no disk"
    event: Any = {
        "id": "evt_1",
        "type": "job.ended",
        "happened_at": "2026-11-24T10:00:00Z",
        "data": {"job_id": "job_1"},
    }
    assert _make_event_row(event)[-1] == "job_1"
