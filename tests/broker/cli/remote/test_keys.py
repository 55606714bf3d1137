"""`broker keys` against a served broker."""

import json

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, make_run
from tests.broker.served import Buyer, ServedBroker


def test_a_key_is_made_rotated_limited_and_revoked(
    run: Run, customer_run: Run, buyer: Buyer, broker: ServedBroker, admin: BrokerClient
) -> None:
    made = customer_run("keys", "create", "ci", "--scope", "training:write", "--scope", "account:write")
    assert made.exit_code == 0, made.output
    key_id, clear = made.stdout.split()[0], made.stdout.split()[-1]
    ci = make_run({"BROKER_URL": broker.url, "BROKER_API_KEY": clear})
    rotated = json.loads(ci("keys", "rotate", key_id, "--overlap-hours", "2", "--json").stdout)
    assert (rotated["replaces"], rotated["scopes"]) == (key_id, ["account:write", "training:write"])
    assert "5 requests a minute" in run("keys", "limit", rotated["id"], "--requests-per-minute", "5").stdout
    assert "no limit of its own" in run("keys", "limit", rotated["id"]).stdout
    assert "no limit of its own" in run("keys", "limit", buyer.customer_id).stdout
    listed = json.loads(customer_run("keys", "list", "--json").stdout)["data"]
    assert [key["name"] for key in listed if key["id"] in {key_id, rotated["id"]}] == ["ci", "ci"]
    assert rotated["prefix"] in customer_run("keys", "list", COLUMNS="200").stdout
    assert customer_run("keys", "revoke", rotated["id"]).exit_code == ExitCode.USAGE
    assert customer_run("keys", "revoke", rotated["id"], "--yes").exit_code == 0
    assert admin.get("/api-keys", customer_id=buyer.customer_id)["data"][0]["revoked_at"]


def test_staff_says_whose_key_it_makes(run: Run) -> None:
    assert run("keys", "create", "whose").exit_code == ExitCode.USAGE
    assert json.loads(run("keys", "create", "books", "--role", "finance", "--json").stdout)["role"] == "finance"
