"""`broker top-ups` against a served broker: a contract that orders more by itself is set, shown, listed and removed."""

import json
from typing import Any

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run


@pytest.fixture
def contract(admin: BrokerClient) -> Any:
    customer = admin.post("/customers", {"name": "Buyer of ever more hours"})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": "2099-01-01T00:00:00Z"}
    signed = admin.post("/contracts", {"customer_id": customer["id"], **terms})
    (advance,) = admin.list_grants(contract_id=signed["id"])["data"]
    admin.post(f"/invoices/{advance['invoice_id']}/pay")
    return signed


def test_a_top_up_is_set_shown_listed_and_removed(run: Run, contract: Any) -> None:
    whose = contract["id"]
    assert run("top-ups", "show", whose).exit_code == ExitCode.REFUSED
    order = ("top-ups", "set", whose[:-2], "--below", "1", "--hours", "50")
    assert run(*order).exit_code == ExitCode.USAGE, "nobody was asked"
    none = run("top-ups", "set", whose, "--below", "1", "--hours", "0", "--yes")
    assert (none.exit_code, "--hours" in none.stderr) == (ExitCode.USAGE, True)
    assert run(*order, "--yes").stdout == f"{whose} orders 50 GPU-hours below 1 free ones.\n"
    shown = run("top-ups", "show", whose).stdout
    assert "50 GPU-hours, below 1 free" in shown
    assert "500.0000 GPU-hours" in shown
    listed = run("topups", "list", "--contract", whose).stdout.splitlines()[1:]
    assert [row.split() for row in listed] == [[whose, "1", "h", "50", "h", "500.0000", "h", "no"]]
    assert json.loads(run("top-ups", "remove", whose, "--json").stdout)["contract_id"] == whose
    assert run("top-ups", "list", "--customer", contract["customer_id"]).stdout.splitlines()[1:] == []
