"""`broker fapiao` against a served broker: requested, issued with its file, downloaded, taken back."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, one_line

NUMBERS = itertools.count(1)
FIRST, RED = "25330000000000020001", "25330000000000020002"


@pytest.fixture
def payer(admin: BrokerClient) -> str:
    """Sign a customer that has paid 2,600.00 ahead."""
    customer = admin.post("/customers", {"name": f"Taker of fapiao {next(NUMBERS)}"})
    signed = admin.post("/contracts", {"customer_id": customer["id"], "plan": "prepaid", "committed_gpu_hours": 500})
    admin.post(f"/invoices/{signed['advance_invoice_id']}/pay")
    return str(customer["id"])


def request(run: Run, payer: str, *more: str) -> Any:
    return json.loads(run("fapiao", "request", "--customer", payer, "--title", "苏州青茶", *more, "--json").stdout)


def test_fapiao_is_requested_issued_downloaded_and_taken_back(run: Run, payer: str, tmp_path: Path) -> None:
    assert "2600.00" in run("fapiao", "invoiceable", "--customer", payer).stdout
    asked = request(run, payer, "--amount", "1000.00")
    assert asked["capitals"] == "壹仟元整"
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7 made up")
    issue = ("--number", FIRST, "--issued-on", "2026-01-05", "--file", str(tmp_path / "paper.pdf"))
    assert FIRST in run("fapiao", "issue", asked["id"], *issue).stdout
    assert "大写" in run("fapiao", "show", FIRST).stdout
    target = tmp_path / "got.pdf"
    assert run("fapiao", "download", FIRST, "--output", str(target)).exit_code == 0
    assert target.read_bytes() == b"%PDF-1.7 made up"
    again = request(run, payer, "--amount", "10.00")
    used = run("fapiao", "issue", again["id"], "--number", FIRST)
    assert used.exit_code == ExitCode.REFUSED
    assert "number" in one_line(used)
    assert "is cancelled" in run("fapiao", "cancel", again["id"]).stdout
    unconfirmed = run("fapiao", "red", FIRST, "--number", RED, "--reason", "04", "--amount", "100.00")
    assert unconfirmed.exit_code == ExitCode.USAGE
    red = run("fapiao", "red", FIRST, "--number", RED, "--reason", "04", "--amount", "100.00", "--yes").stdout
    assert "100.00" in red
    rows = json.loads(run("fapiao", "list", "--customer", payer, "--json").stdout)["data"]
    assert [(row["status"], row["amount"]["amount"]) for row in rows] == [
        ("issued", "-100.00"),
        ("cancelled", "10.00"),
        ("issued", "1000.00"),
    ]
    told = run("fapiao", "list", "--customer", payer).stdout
    assert "red" in told
    assert FIRST in told


def test_more_than_can_be_asked_for_is_one_line(run: Run, payer: str) -> None:
    refused = run("fapiao", "request", "--customer", payer, "--title", "Tea", "--amount", "2600.01")
    assert refused.exit_code == ExitCode.REFUSED
    assert "amount" in one_line(refused)
