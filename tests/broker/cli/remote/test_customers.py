"""`broker customers` and members of projects, against a served broker."""

import json
import zipfile
from pathlib import Path

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run
from tests.broker.served import Buyer


@pytest.fixture
def customer(admin: BrokerClient, tmp_path: Path) -> str:
    return str(admin.post("/customers", {"name": f"Leaver {tmp_path}"})["id"])


def test_an_archive_is_checked_without_a_broker(run: Run, buyer: Buyer, tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    told = run("customers", "export", buyer.customer_id, "-o", str(archive))
    assert told.exit_code == 0, told.output
    with zipfile.ZipFile(archive) as opened:
        public_key = json.loads(opened.read("manifest.json"))["public_key"]
        kept = {name: opened.read(name) for name in opened.namelist()}
    checked = run("customers", "check-archive", str(archive), "--public-key", public_key)
    assert checked.exit_code == 0
    other = "A" * 43 + "="
    assert run("customers", "check-archive", str(archive), "--public-key", other).exit_code == ExitCode.FAILED
    forged = tmp_path / "forged.zip"
    with zipfile.ZipFile(forged, "w") as opened:
        for name, content in kept.items():
            opened.writestr(name, content + (b"{}" if name == "jobs.jsonl" else b""))
        opened.writestr("more.txt", "not in the manifest")
    refused = run("customers", "check-archive", str(forged))
    assert refused.exit_code == ExitCode.FAILED
    assert "jobs.jsonl: has another hash" in refused.stderr
    assert "more.txt: is not in the manifest" in refused.stderr


def test_a_customer_is_verified_has_people_and_leaves(run: Run, customer: str, tmp_path: Path) -> None:
    assert "submitted" in run("customers", "verify", customer, "--name", "茶业", "--number", "91310000").stdout
    assert "91310000" in run("customers", "verification", customer).stdout
    assert "verified" in run("customers", "decide", customer, "verified").stdout
    assert customer in run("customers", "list").stdout
    email = f"lin@{customer}.example"
    person = json.loads(run("customers", "invite", customer, email, "--json").stdout)
    assert "not yet" in run("customers", "people", customer, COLUMNS="200").stdout
    assert run("customers", "remove-person", person["id"], "--yes").exit_code == 0
    delete = ["customers", "delete-data", customer, "--confirm"]
    assert run(*delete, "somebody else", "--yes").exit_code == ExitCode.REFUSED
    assert run(*delete, f"Leaver {tmp_path}").exit_code == ExitCode.USAGE
    deletion = json.loads(run(*delete, f"Leaver {tmp_path}", "--yes", "--json").stdout)
    assert "All files are gone" in run("customers", "deletion", customer, deletion["id"]).stdout


def test_a_confined_key_becomes_a_member(run: Run, customer: str, customer_run: Run) -> None:
    project = json.loads(run("projects", "create", "winter", "--customer", customer, "--json").stdout)["id"]
    confined = ("keys", "create", "intern", "--customer", customer, "--confined", "--json")
    key = json.loads(run(*confined).stdout)["id"]
    assert "viewer" in run("projects", "set-member", project, key, "--role", "viewer").stdout
    assert key in run("projects", "members", project, COLUMNS="200").stdout
    assert customer_run("projects", "members", project).exit_code == ExitCode.REFUSED
    assert "no member" in run("projects", "remove-member", project, key).stdout
