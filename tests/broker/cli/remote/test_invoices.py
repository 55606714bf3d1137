"""`broker invoices`: listed, shown and downloaded from a served broker; proven offline, with no broker at all."""

import json
from pathlib import Path
from typing import Any

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run
from tests.pricing.evidence.documents import sealed, write


def test_invoice_is_listed_shown_downloaded_and_proven(run: Run, admin: BrokerClient, tmp_path: Path) -> None:
    customer = admin.post("/customers", {"name": "Reader of invoices"})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": "2099-01-01T00:00:00Z"}
    contract = admin.post("/contracts", {"customer_id": customer["id"], **terms, "contract_number": "HT-77"})
    listed = run("invoices", "list", "--contract-number", "HT-77").stdout
    assert contract["advance_invoice_id"] in listed
    assert "2600.00" in run("invoices", "show", contract["advance_invoice_id"]).stdout
    file = tmp_path / "evidence.json"
    named = ("invoices", "download", contract["advance_invoice_id"], "--format", "evidence", "-o", str(file))
    assert str(file) in run(*named).stdout.replace("\n", "")
    assert run(*named).exit_code == ExitCode.USAGE  # it is there
    proven = json.loads(run("invoices", "verify", str(file), "--json").stdout)
    assert proven["total"] == "2600.00"


def test_invoice_is_made_void_once_it_is_confirmed(run: Run, admin: BrokerClient) -> None:
    customer = admin.post("/customers", {"name": "Billed by mistake"})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": "2099-01-01T00:00:00Z"}
    contract = admin.post("/contracts", {"customer_id": customer["id"], **terms})
    number = admin.get(f"/invoices/{contract['advance_invoice_id']}")["number"]
    asked = ("invoices", "void", number, "--reason", "Billed to the wrong company")
    assert run(*asked).exit_code == ExitCode.USAGE
    assert f"{number} is void" in run(*asked, "--yes").stdout
    assert number in run("invoices", "list", "--status", "void").stdout


def test_invoice_is_marked_as_paid_once_it_is_confirmed(run: Run, admin: BrokerClient) -> None:
    customer = admin.post("/customers", {"name": "Paid by cheque"})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "ends_at": "2099-01-01T00:00:00Z"}
    contract = admin.post("/contracts", {"customer_id": customer["id"], **terms})
    number = admin.get(f"/invoices/{contract['advance_invoice_id']}")["number"]
    assert run("invoices", "pay", number).exit_code == ExitCode.USAGE
    told = run("invoices", "pay", number, "--yes").stdout.replace("\n", " ")
    assert f"2600.00 CNY of {number}" in told
    assert f"{number} is paid" in told


def test_what_does_not_hold_is_named(run: Run, tmp_path: Path) -> None:
    document: Any = sealed()
    file = tmp_path / "evidence.json"
    file.write_bytes(write(document))
    told = run("invoices", "verify", str(file), "--seal", document["seal"])
    assert (told.exit_code, "10.17 CNY is proven" in told.stdout) == (ExitCode.OK, True)
    document["lines"][2]["amount"] = "6.90"
    file.write_bytes(write(document))
    refused = run("invoices", "verify", str(file))
    assert refused.exit_code == ExitCode.FAILED
    assert "lines[2]: comes to 6.80, not to 6.90" in refused.stderr
    assert run("invoices", "verify", str(tmp_path / "none.json")).exit_code == ExitCode.FAILED
