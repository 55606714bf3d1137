"""`broker grants` and `broker purchases` against a served broker: ordered, paid, listed, given, taken back."""

import itertools
import json
from typing import Any

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run

NUMBERS = itertools.count(1)


@pytest.fixture
def contract(admin: BrokerClient) -> Any:
    customer = admin.post("/customers", {"name": f"Buyer of hours {next(NUMBERS)}"})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": "2099-01-01T00:00:00Z"}
    signed = admin.post("/contracts", {"customer_id": customer["id"], **terms})
    (advance,) = admin.list_grants(contract_id=signed["id"])["data"]
    admin.post(f"/invoices/{advance['invoice_id']}/pay")
    return signed


def list_words(listed: Any) -> list[list[str]]:
    return [line.split() for line in listed.stdout.splitlines()[1:]]


def test_order_is_made_listed_paid_and_refunded(run: Run, contract: Any) -> None:
    order = ("purchases", "create", "--contract", contract["id"][:-2], "--hours", "50")
    asked = run(*order)
    assert asked.exit_code == ExitCode.USAGE
    told = run(*order, "--yes").stdout
    assert "260.00" in told
    purchase = told.split(":")[0]
    ((shown, status, *_rest),) = list_words(run("purchases", "list", "--contract", contract["id"], "--status", "open"))
    assert (shown, status) == (purchase, "open")
    assert "is paid" in run("purchases", "pay", purchase[:-2], "--yes").stdout
    assert list_words(run("purchases", "list", "--contract", contract["id"], "--status", "open")) == []
    card = run("purchases", "show", purchase).stdout
    assert "50.0000 GPU-hours at 5.2 yuan" in card
    grant = next(word for word in card.split() if word.startswith("gra_"))
    assert "is paid" not in run("purchases", "cancel", purchase).stdout
    assert "50.0000 (100.0 %)" in run("grants", "show", grant[:-2]).stdout
    assert "260.00" in run("grants", "refund", grant, "--yes").stdout
    assert json.loads(run("grants", "show", grant, "--json").stdout)["status"] == "emptied"
    assert list_words(run("grants", "draws", grant)) == []


def test_order_is_cancelled(run: Run, contract: Any) -> None:
    made = json.loads(
        run("purchases", "create", "--contract", contract["id"], "--tokens", "1000000", "--yes", "--json").stdout
    )
    assert (made["quantity"], made["status"]) == (1_000_000, "open")
    assert "is cancelled" in run("purchases", "cancel", made["id"]).stdout
    assert [row[0] for row in list_words(run("purchases", "list", "--status", "cancelled"))].count(made["id"]) == 1
    late = run("purchases", "pay", made["id"], "--yes").stdout
    assert "is cancelled: the money is kept as the customer's credit" in " ".join(late.split())


def test_grant_is_given_and_made_void(run: Run, contract: Any) -> None:
    gift = ("grants", "give", "--contract", contract["id"], "--hours", "10", "--reason", "Launch")
    given = json.loads(run(*gift, "--gpu-type", "rtx-4090", "--json").stdout)
    rows = list_words(run("grants", "list", "--contract", contract["id"], "--kind", "promotional"))
    assert [row[:3] for row in rows] == [[given["id"], "promotional", "active"]]
    assert "rtx-4090" in run("grants", "show", given["id"]).stdout
    asked = run("grants", "void", given["id"], "--reason", "By mistake")
    assert asked.exit_code == ExitCode.USAGE
    assert "is void" in run("grants", "void", given["id"], "--reason", "By mistake", "--yes").stdout
    assert run("grants", "refund", given["id"], "--yes").exit_code == ExitCode.REFUSED


@pytest.mark.parametrize("volume", [[], ["--hours", "1", "--tokens", "1"]])
def test_volume_is_of_one_meter(run: Run, contract: Any, volume: list[str]) -> None:
    for command in (("grants", "give", "--reason", "x"), ("purchases", "create")):
        refused = run(*command, "--contract", contract["id"], *volume)
        assert refused.exit_code == ExitCode.USAGE
        assert "--hours" in refused.stderr
