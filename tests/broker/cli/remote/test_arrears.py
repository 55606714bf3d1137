"""`broker arrears` against a served broker: nobody is behind there; how it looks where somebody is, is shown beside."""

import itertools
import json
from typing import Any

from broker.cli.failures import ExitCode
from broker.cli.remote.arrears import _describe_contract, _make_row
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run

NUMBERS = itertools.count(1)
BEHIND: Any = {
    "contract_id": "con_1",
    "customer_id": "cus_1",
    "state": "retention",
    "since": "2026-12-30",
    "until": "2027-01-29",
    "owed": {"amount": "4200.00", "currency": "CNY"},
    "debts": [{"number": "INV-2026-000001", "amount": {"amount": "4200.00", "currency": "CNY"}}],
    "deletion_on": "2027-01-29",
    "allowed": {"submit": "none", "running": "none", "data": "deletion_announced"},
    "extensions": [{"until": "2026-12-20", "reason": "promised\nby phone"}],
}


def test_who_is_not_behind_is_current_and_cannot_be_given_time(run: Run, admin: BrokerClient) -> None:
    customer = admin.post("/customers", {"name": f"In time {next(NUMBERS)}"})
    signed = admin.post("/contracts", {"customer_id": customer["id"], "plan": "on_demand"})
    shown = run("arrears", "show", customer["id"])
    assert (shown.exit_code, "current" in shown.stdout) == (ExitCode.OK, True)
    told = json.loads(run("arrears", "show", customer["id"], "--json").stdout)
    assert (told["state"], told["contracts"][0]["contract_id"]) == ("current", signed["id"])
    assert customer["id"] not in run("arrears", "list").stdout
    refused = run("arrears", "extend", signed["id"], "--until", "2099-01-01", "--reason", "Test")
    assert refused.exit_code != ExitCode.OK
    missing = run("arrears", "show")
    assert missing.exit_code == ExitCode.USAGE


def test_who_is_behind_shows_since_when_with_what_and_until_when() -> None:
    assert _make_row(BEHIND) == [
        "con_1",
        "cus_1",
        "retention",
        "2026-12-30",
        "2027-01-29",
        "4200.00",
        "INV-2026-000001",
    ]
    card = dict(_describe_contract(BEHIND))
    assert card["State"] == "retention until 2027-01-29"
    assert card["Overdue"] == "INV-2026-000001 4200.00"
    assert card["Data"] == "deletion announced for 2027-01-29"
    assert card["Time given"] == "until 2026-12-20 (promised by phone)"
