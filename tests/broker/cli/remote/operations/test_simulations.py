"""Ops asks by the command what a recorded window would have been, on a served broker."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import typer

from broker.cli.failures import ExitCode
from broker.cli.remote.operations.simulations import read_changes
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run
from tests.broker.served import Buyer, follow_job


def an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def test_a_recorded_window_is_waited_for_and_shown_beside_today(run: Run, admin: BrokerClient, buyer: Buyer) -> None:
    assert follow_job(admin, admin.post("/jobs", buyer.order())["id"])["status"] == "succeeded"
    changes = ("--set", "standard.max_gpus=4", "--set", "queues.standard.weight=200")
    told = run("queues", "simulate", "--window", an_hour_ago(), "now", *changes, "--json")
    assert told.exit_code == 0, told.output
    done = json.loads(told.stdout)
    assert (done["status"], done["progress"]) == ("done", 1)
    assert done["proposal"] == {"queues": {"standard": {"max_gpus": 4, "weight": 200}}}
    assert done["result"]["starts_reproduced"] == 1
    shown = run("queues", "simulate", "--window", an_hour_ago(), "now", *changes)
    assert "No job would have started later." in shown.stdout
    assert "local" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--window", "an hour ago", "now", "--set", "standard.priority=1"], ExitCode.REFUSED, "begins_at"),
        (["--window", "2026-01-01T00:00:00Z", "now"], ExitCode.USAGE, "say what to change"),
        (["--window", "2026-01-01T00:00:00Z", "now", "--set", "priority=1"], ExitCode.USAGE, "NAME.FIELD=VALUE"),
        (["--window", "2026-01-01T00:00:00Z", "now", "--slots", "8"], ExitCode.USAGE, "needs no trace"),
        (["--set", "standard.priority=1"], ExitCode.USAGE, "needs the window"),
        (["--format", "csv", "--slots", "8"], ExitCode.USAGE, "--trace"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_option(
    run: Run, arguments: list[str], code: ExitCode, told: str
) -> None:
    result = run("queues", "simulate", *arguments)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output


def test_what_was_not_there_in_the_window_is_refused_with_what_was(run: Run) -> None:
    result = run("queues", "simulate", "--window", an_hour_ago(), "now", "--set", "nobody.priority=5")
    assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, "")
    assert "proposal.queues.nobody: is not there; there are: priority, standard" in result.stderr


class PoolsOnly:
    """A client that knows pools, and counts how often it is asked."""

    asked = 0

    def list_all(self, _path: str) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"name": "a100"}]


def test_changes_are_of_contracts_pools_or_queues_by_their_names() -> None:
    client = PoolsOnly()
    changes = ["a100.total_gpus=16", "dedicated:con_a.lending_limit=null", 'con_a.guaranteed_gpus={"a100": 2}']
    changes += ["standard.state=holding", "pools.x.y.sku=l40s", "a100.open=false"]
    assert read_changes(changes, cast("BrokerClient", client)) == {
        "pools": {"a100": {"total_gpus": 16, "open": False}, "x.y": {"sku": "l40s"}},
        "queues": {"dedicated:con_a": {"lending_limit": None}, "standard": {"state": "holding"}},
        "contracts": {"con_a": {"guaranteed_gpus": {"a100": 2}}},
    }
    assert client.asked == 1


@pytest.mark.parametrize("change", ["", "standard", "standard=1", ".priority=1", "standard.=1"])
def test_a_change_of_another_shape_is_refused(change: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"NAME\.FIELD=VALUE"):
        read_changes([change], cast("BrokerClient", PoolsOnly()))
