"""`broker payments` and `broker refunds` against a served broker: imported, listed, claimed, taken back, returned."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run

NUMBERS = itertools.count(1)
HEADER = "交易日期,流水号,金额,付款人,付款账号,附言"


@pytest.fixture
def invoice(admin: BrokerClient) -> Any:
    """Sign a contract whose advance invoice, of 2,600.00, is open."""
    customer = admin.post("/customers", {"name": f"Payer {next(NUMBERS)}"})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": "2099-01-01T00:00:00Z"}
    signed = admin.post("/contracts", {"customer_id": customer["id"], **terms})
    (grant,) = admin.list_grants(contract_id=signed["id"])["data"]
    return admin.get(f"/invoices/{grant['invoice_id']}")


def write_statement(folder: Path, *rows: str) -> Path:
    file = folder / "statement.csv"
    file.write_bytes("\n".join([HEADER, *rows]).encode("gbk"))
    return file


def test_a_month_s_receipts_are_imported_claimed_and_returned(run: Run, invoice: Any, tmp_path: Path) -> None:
    reference, number = invoice["payment_reference"], f"CLI{next(NUMBERS):04d}"
    rows = (
        f'2026-11-05,{number}a,"1,000.00",苏州青茶,62220001,{reference}',
        f"2026-11-06,{number}b,1600.00,无名,62220002,货款",
        f"2026-11-07,{number}c,5.00,无名,62220003,",
        f"2026-11-08,{number}d,-3.00,银行,,手续费",
    )
    file = write_statement(tmp_path, *rows)
    told = run("payments", "import", str(file))
    assert told.exit_code == 0, told.output
    assert "2605.00" in told.stdout
    assert "1 partial, 2 unmatched, 1 outgoing" in " ".join(told.stdout.split())
    again = json.loads(run("payments", "import", str(file), "--layout", "signed", "--json").stdout)
    assert again["counts"] == {"duplicate": 3, "outgoing": 1}
    payments = {line["serial"][-1]: line["payment_id"] for line in again["lines"]}
    waiting = run("payments", "unmatched").stdout
    assert payments["b"] in waiting
    assert "货款" in waiting
    claimed = run("payments", "claim", payments["b"], "--invoice", invoice["number"])
    assert "is matched" in claimed.stdout, claimed.output
    assert invoice["id"] in run("payments", "show", payments["b"]).stdout
    assert json.loads(run("invoices", "show", invoice["id"][:-2], "--json").stdout)["status"] == "paid"
    undo = ("payments", "unclaim", payments["b"], "--reason", "Wrong one")
    assert run(*undo).exit_code == ExitCode.USAGE
    assert "is unmatched" in run(*undo, "--yes").stdout
    refund = json.loads(run("payments", "return", payments["c"], "--reason", "Not ours", "--yes", "--json").stdout)
    assert "is sent" in run("refunds", "send", refund["id"], "--reference", "B17").stdout
    assert "is confirmed" in run("refunds", "confirm", refund["id"]).stdout
    assert "B17" in run("refunds", "list", "--status", "confirmed").stdout
    assert payments["c"] in run("payments", "list", "--status", "returned").stdout


def test_a_claim_of_what_matches_nothing_says_what_to_do(run: Run, tmp_path: Path) -> None:
    file = write_statement(tmp_path, f"2026-11-05,LONE{next(NUMBERS)},7.00,无名,,货款")
    payment = json.loads(run("payments", "import", str(file), "--json").stdout)["lines"][0]["payment_id"]
    refused = run("payments", "claim", payment)
    assert refused.exit_code == ExitCode.REFUSED
    assert "allocations" in refused.stderr
    assert run("payments", "claim", payment, "--invoice", "INV-1999-000001").exit_code == ExitCode.USAGE
    failed = run("payments", "return", payment, "--reason", "Not ours", "--yes")
    assert "payee.account" in failed.stderr


def test_a_file_that_is_no_statement_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.csv").write_text("a,b\n1,2\n")
    assert run("payments", "import", str(tmp_path / "note.csv")).exit_code == ExitCode.REFUSED
    assert run("payments", "import", str(tmp_path / "none.csv")).exit_code == ExitCode.USAGE


def test_a_line_is_disputed_answered_and_lost(run: Run, invoice: Any, admin: BrokerClient) -> None:
    admin.post(f"/invoices/{invoice['id']}/pay")
    asked = ("disputes", "open", invoice["number"], "--line", "1", "--reason", "我们没有用", "--amount", "60.00")
    made = json.loads(run(*asked, "--json").stdout)
    assert "is answered" in run("disputes", "answer", made["id"], "--answer", "It ran").stdout
    listed = run("disputes", "list", "--invoice", invoice["number"]).stdout
    assert "line 1: 我们没有用 — It ran" in listed
    assert run("disputes", "lose", made["id"]).exit_code == ExitCode.USAGE
    assert "is lost: credit_note crn_" in run("disputes", "lose", made["id"], "--yes").stdout
    assert run("disputes", "withdraw", made["id"]).exit_code == ExitCode.REFUSED


def test_a_credit_is_paid_back(run: Run, invoice: Any, admin: BrokerClient) -> None:
    credit = {"kind": "credit", "contract_id": invoice["contract_id"], "amount": "9.00", "reason": "Test"}
    admin.post("/adjustments", credit)
    asked = ("refunds", "request", "--contract", invoice["contract_id"], "--from", "credit", "--reason", "Asked for")
    made = json.loads(run(*asked, "--payee", "青茶", "--account", "1", "--amount", "4.00", "--json").stdout)
    assert (made["status"], made["amount"]["amount"]) == ("requested", "4.00")
    assert "is failed" in run("refunds", "fail", made["id"], "--reason", "Account closed").stdout
