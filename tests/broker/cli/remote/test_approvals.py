"""`broker approvals` against a served broker: proposed by one key, decided by another."""

import itertools
import json
from pathlib import Path

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, make_run, one_line
from tests.broker.served import ServedBroker

NUMBERS = itertools.count(1)


@pytest.fixture
def other_run(admin: BrokerClient, broker: ServedBroker) -> Run:
    """`broker …` with the key of another person of finance."""
    made = admin.post("/api-keys", {"name": f"finance {next(NUMBERS)}", "role": "finance"})
    return make_run({"BROKER_URL": broker.url, "BROKER_API_KEY": made["key"]})


@pytest.fixture
def body(admin: BrokerClient) -> str:
    customer = admin.post("/customers", {"name": f"Creditor {next(NUMBERS)}"})
    contract = admin.post("/contracts", {"customer_id": customer["id"], "plan": "on_demand"})
    credit = {"kind": "credit", "contract_id": contract["id"], "amount": "6000.00", "reason": "A lost week"}
    return json.dumps(credit)


def test_proposal_is_listed_and_approved_by_another_person(run: Run, other_run: Run, body: str, tmp_path: Path) -> None:
    (tmp_path / "credit.json").write_text(body)
    told = run("approvals", "propose", "adjustment", "--body", str(tmp_path / "credit.json")).stdout
    proposal = told.split()[0]
    listed = other_run("approvals", "list").stdout
    assert proposal in listed
    assert "A lost week" in listed
    own = run("approvals", "approve", proposal, "--yes")
    assert own.exit_code == ExitCode.REFUSED
    assert "another person" in one_line(own)
    assert other_run("approvals", "approve", proposal).exit_code == ExitCode.USAGE
    assert "made adj_" in " ".join(other_run("approvals", "approve", proposal, "--yes").stdout.split())
    assert proposal not in run("approvals", "list").stdout
    assert proposal in run("approvals", "list", "--all").stdout
    assert "6000.00" in run("approvals", "show", proposal).stdout


def test_proposal_is_rejected_and_one_that_is_no_json_is_a_usage_error(run: Run, body: str) -> None:
    proposal = run("approvals", "propose", "adjustment", "--body", "-", stdin=body).stdout.split()[0]
    assert "is rejected" in run("approvals", "reject", proposal, "--reason", "Too much").stdout
    assert "Too much" in run("approvals", "show", proposal).stdout
    assert run("approvals", "propose", "adjustment", "--body", "{no").exit_code == ExitCode.USAGE
