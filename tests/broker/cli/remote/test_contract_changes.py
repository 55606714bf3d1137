"""`broker contracts amend|renew|end|cancel|events` against a served broker."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run

NUMBERS = itertools.count(1)


@pytest.fixture
def contract(admin: BrokerClient) -> Any:
    customer = admin.post("/customers", {"name": f"Amended {next(NUMBERS)}"})
    terms = {"plan": "long_term", "committed_gpu_hours": 2000, "auto_renew": True}
    return admin.post("/contracts", {"customer_id": customer["id"], **terms})


def test_amend_shows_what_is_replaced_and_needs_a_yes(run: Run, admin: BrokerClient, contract: Any) -> None:
    order = ("contracts", "amend", contract["id"], "--overage", "on_demand", "--budget", "5000")
    asked = run(*order)
    assert asked.exit_code == 2
    assert admin.get_contract(contract["id"])["overage"] == "contract"
    done = run(*order, "--yes")
    assert done.exit_code == 0
    assert [line.split() for line in done.stderr.splitlines()[-2:]] == [
        ["overage", "contract", "on_demand"],
        ["monthly_budget", "none", "5000.00"],
    ]
    assert admin.get_contract(contract["id"])["overage"] == "on_demand"
    hours = run("contracts", "amend", contract["id"], "--hours", "3000", "--set", "true_up=yearly", "--yes")
    assert "The whole term commits to " in hours.stderr
    assert "charged at the end of each year" in run("contracts", "show", contract["id"]).stdout
    refused = run("contracts", "amend", contract["id"], "--guarantee", "h200=4@900", "--yes")
    assert "no pool has h200" in refused.stderr
    assert "TYPE=GPUS@PRICE" in run("contracts", "amend", contract["id"], "--guarantee", "h200", "--yes").stderr
    assert run("contracts", "amend", contract["id"], "--budget", "none", "--yes").exit_code == 0
    assert admin.get_contract(contract["id"])["monthly_budget"] is None


def test_contract_is_renewed_ended_and_its_events_are_listed(run: Run, admin: BrokerClient, contract: Any) -> None:
    following = json.loads(run("contracts", "renew", contract["id"], "--hours", "2500", "--json").stdout)
    assert (following["committed_gpu_hours"], following["renewed_from_id"]) == (2500, contract["id"])
    refused = run("contracts", "decline", contract["id"])
    assert following["id"] in refused.stderr
    assert "is cancelled" in run("contracts", "cancel", following["id"]).stdout
    assert "ends at" in run("contracts", "decline", contract["id"]).stdout
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert f"ends at {tomorrow[:10]}" in run("contracts", "end", contract["id"], "--at", tomorrow).stdout
    kinds = [line.split()[1] for line in run("contracts", "events", contract["id"]).stdout.splitlines()[1:]]
    assert kinds == ["amended", "renewal_declined", "renewed", "signed"]


def test_a_term_is_planned_listed_and_withdrawn(run: Run, admin: BrokerClient, contract: Any) -> None:
    at = (datetime.now(UTC) + timedelta(days=60)).isoformat()
    order = ("contracts", "amend", contract["id"], "--at", at, "--yes", "--json")
    terms = ("payment_days=60", "arrears.grace_days=10", "purchase_order=none", "rate_card=newest")
    planned = json.loads(run(*order, *(word for term in terms for word in ("--set", term))).stdout)
    assert {each["field"]: each["after"] for each in planned["changes"]} == {
        "payment_days": 60,
        "arrears.grace_days": 10,
        "rate_card": "newest",
    }
    listed = run("contracts", "amendments", contract["id"]).stdout
    assert f"{planned['id']}  {at[:16]}  planned" in listed
    assert "is withdrawn" in run("contracts", "withdraw", contract["id"], planned["id"]).stdout
    assert "withdrawn" in run("contracts", "amendments", contract["id"]).stdout
    refused = run(*order, "--set", "starts_at=2026-01-01T00:00:00Z")
    assert "keeps its beginning" in refused.stderr
    assert run(*order, "--set", "payment_days").exit_code == 2
