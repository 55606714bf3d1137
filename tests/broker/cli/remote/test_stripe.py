"""`broker stripe` against a broker whose relay has not begun, and what it says of differences."""

import json
from typing import Any

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run


def test_customer_is_collected_from_and_no_more(run: Run, admin: BrokerClient) -> None:
    customer = admin.post("/customers", {"name": "Tea abroad"})["id"]
    assert f"{customer}: Stripe collects" in run("stripe", "collect", customer, "--email", "ap@tea.example").stdout
    assert admin.get(f"/stripe/customers/{customer}")["email"] == "ap@tea.example"
    assert "collects no more" in run("stripe", "collect", customer, "--off").stdout
    assert json.loads(run("stripe", "list", "--customer", customer, "--json").stdout)["data"] == []


def test_invoice_that_stripe_does_not_have_and_stripe_that_is_off_are_one_line(run: Run) -> None:
    for command, status in (("show", 404), ("retry", 404)):
        refused = run("stripe", command, "inv_x")
        assert refused.exit_code == ExitCode.REFUSED
        assert f"({status})" in refused.stderr
    assert "Stripe is off: BROKER_STRIPE_API_KEY is not set" in " ".join(run("stripe", "reconcile").stderr.split())


def test_differences_are_told_with_their_cures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    difference = {"kind": "paid", "invoice_id": "inv_1", "stripe_id": "in_1", "ours": "0.00", "theirs": "4200.00"}
    found: list[Any] = [difference | {"cure": "it is fetched again now"}]
    monkeypatch.setattr(BrokerClient, "post", lambda *_args, **_options: {"data": found})
    told = run("stripe", "reconcile").stdout
    assert "4200.00" in told
    assert "paid: it is fetched again now" in told
    found.clear()
    assert "say the same" in run("stripe", "reconcile").stdout


def test_invoice_is_shown_with_its_steps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"step": "finalize", "state": "refused", "stripe_id": None, "failures": 1, "last_error": "amount_due"}
    money = {"amount": "26.00", "currency": "CNY"}
    invoice = {"invoice_id": "inv_1", "stripe_id": "in_1", "status": "draft", "settled": False, "steps": [step]}
    invoice |= {"asked": money, "remaining": money, "hosted_url": None, "problem": "not finalized: amount_due"}
    monkeypatch.setattr(BrokerClient, "get", lambda *_args, **_options: invoice)
    told = run("stripe", "show", "inv_1").stdout
    assert "not finalized: amount_due" in told
    assert "finalize" in told
