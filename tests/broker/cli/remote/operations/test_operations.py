"""What ops sees and does by the command, on a served broker."""

import json

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, one_line, reach, submit
from tests.broker.cli.terminal import Terminal
from tests.broker.served import Buyer, ServedBroker
from tests.broker.waiting import until


def test_queue_is_set_listed_and_put_back(run: Run, customer_run: Run) -> None:
    told = run("queues", "set", "standard", "--weight", "150", "--max-jobs", "5", "--max-wait", "86400")
    assert told.stdout == "standard is open: priority 100, weight 150, limits: 5 jobs; first after 1 day.\n"
    assert "5 jobs; first after 1 day" in run("queues", "list", COLUMNS="200").stdout  # others' jobs may wait there
    heading = customer_run("queues", "list").stdout.splitlines()[0]
    assert heading.split() == ["queue", "state", "priority", "weight", "limits"]
    (entry,) = json.loads(run("audit", "list", "--object", "standard", "--limit", "1", "--json").stdout)["data"]
    assert "weight: 100 → 150" in run("audit", "list", "--limit", "1").stdout
    undone = run("audit", "undo", entry["id"])
    assert (undone.exit_code, "weight is 100 again" in undone.stdout) == (0, True)
    refused = run("audit", "undo", entry["id"])
    assert (refused.exit_code, "was undone by" in one_line(refused)) == (ExitCode.REFUSED, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["queues", "set", "standard"], ExitCode.USAGE, "say what to change"),
        (["queues", "set", "standard", "--max-gpus", "many"], ExitCode.USAGE, "--max-gpus"),
        (["queues", "set", "standard", "--weight", "0"], ExitCode.REFUSED, "weight"),
        (["queues", "set", "nobody", "--weight", "5"], ExitCode.REFUSED, "nobody"),
        (["queues", "set", "standard", "--lending-limit", "1"], ExitCode.REFUSED, "dedicated queue"),
        (["queues", "set", "standard", "--pool", "nowhere"], ExitCode.REFUSED, "there is no pool nowhere"),
        (["pools", "drain", "local", "--node", "n9"], ExitCode.REFUSED, "there is no node n9; there are: local"),
        (["pools", "down", "local"], ExitCode.USAGE, "--yes"),
        (["pools", "maintenance", "local"], ExitCode.USAGE, "--from and --until"),
        (["pools", "stops", "local"], ExitCode.USAGE, "--least-run or --per-hour"),
        (["pools", "stops", "local", "--per-hour", "-1"], ExitCode.REFUSED, "stops_per_hour"),
        (["jobs", "set", "job_x", "--priority", "high", "--reason", "x"], ExitCode.USAGE, "--priority"),
        (["jobs", "set", "job_x", "--priority", "7"], ExitCode.USAGE, "--reason"),
        (["jobs", "set", "job_x"], ExitCode.USAGE, "--gpu-type"),
        (["queues", "set", "standard", "--max-gpu-hours", "5"], ExitCode.REFUSED, "window_hours"),
        (["contracts", "quota", "set", "con_x", "--reason", "x"], ExitCode.USAGE, "--max-gpus 8"),
        (["contracts", "quota", "set", "con_x", "--max-gpus", "few", "--reason", "x"], ExitCode.USAGE, "--max-gpus"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(run: Run, arguments: list[str], code: ExitCode, told: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output


def test_gpu_hours_of_a_window_limit_a_queue_until_they_are_taken_away(run: Run) -> None:
    told = run("queues", "set", "standard", "--max-gpu-hours", "500", "--window-hours", "24")
    assert "limits: 500 GPU-hours within 24 hours." in told.stdout
    assert "500" not in run("queues", "set", "standard", "--max-gpu-hours", "none").stdout


def test_quota_of_a_contract_is_set_by_ops_and_read_by_its_customer(run: Run, customer_run: Run, buyer: Buyer) -> None:
    quota = ("contracts", "quota")
    set_up = ("--weight", "150", "--max-gpus", "8", "--reason", "their trial")
    told = run(*quota, "set", buyer.contract_id, *set_up)
    assert told.stdout == f"{buyer.contract_id}: weight 150, at one time: 8 GPUs (their trial).\n"
    assert customer_run(*quota, "show", buyer.contract_id).stdout == told.stdout
    assert customer_run(*quota, "set", buyer.contract_id, *set_up).exit_code == ExitCode.REFUSED
    taken = run(*quota, "set", buyer.contract_id, "--weight", "100", "--max-gpus", "none", "--reason", "over", "--json")
    assert json.loads(taken.stdout)["max_gpus"] is None


def test_pool_is_drained_worked_on_and_resumed(run: Run) -> None:
    assert run("drain", "local").stdout == "Pool local is closed.\n"
    assert run("pools", "resume", "local").stdout == "Pool local is open.\n"
    node = json.loads(run("pools", "drain", "local", "--node", "local", "--json").stdout)
    assert (node["state"], node["nodes"][0]["state"]) == ("nodes_closed", "draining")
    run("pools", "resume", "local", "--node", "local")
    told = run("pools", "stops", "local", "--per-hour", "2", "--least-run", "1800").stdout
    assert told.splitlines()[1:] == [
        "  makes room for others after 1800 s at the earliest",
        "  makes room for others 2 times an hour",
    ]
    assert run("pools", "stops", "local", "--as-everywhere").stdout == "Pool local is open.\n"
    first = run("pools", "maintenance", "local", "--from", "2190-01-01T00:00:00Z", "--until", "2190-01-01T02:00:00Z")
    assert first.exit_code == 0, first.output
    window = ("--from", "2191-01-01T00:00:00Z", "--until", "2191-01-01T02:00:00Z", "--json")
    assert len(json.loads(run("pools", "maintenance", "local", *window).stdout)["maintenance"]) == 2
    assert "2190-01-01T00:00" in run("pools", "list").stdout
    assert json.loads(run("pools", "maintenance", "local", "--clear", "--json").stdout)["maintenance"] == []


@pytest.mark.usefixtures("closed_pool")
async def test_why_a_job_waits_what_helps_and_how_its_contract_stands(
    run: Run, customer_run: Run, order: list[str], buyer: Buyer, admin: BrokerClient
) -> None:
    job_id = submit(run, order)
    await until(lambda: admin.get_job(job_id)["pending_reason"] is not None)
    assert "Helps  A pool has to be" in customer_run("why", job_id, LC_ALL="C").stdout
    assert "资源池" in customer_run("why", job_id, LC_ALL="zh_CN.UTF-8").stdout
    put = run("jobs", "set", job_id, "--priority", "700", "--reason", "their fair is tomorrow")
    assert put.stdout == f"{job_id} has priority 700.\n"
    (own,) = admin.get_job(job_id)["gpu_types"] or ()
    assert f"may run on {own['sku']} (" in customer_run("jobs", "set", job_id, "--gpu-type", own["sku"]).stdout
    refused = customer_run("jobs", "set", job_id, "--gpu-type", "h100-80g")
    assert (refused.exit_code, "gpu_types" in refused.stderr) == (ExitCode.REFUSED, True)
    assert "priority changed: their fair is tomorrow" in customer_run("jobs", "events", job_id).stdout
    standing = customer_run("queues", "standing", buyer.contract_id)
    assert [line.split()[-1] for line in standing.stdout.splitlines()] == ["waiting", "1"]
    page = run("top")
    assert page.stdout.startswith("1 waiting, 0 running")
    admin.cancel_job(job_id)


def test_announcement_is_made_listed_and_ended(run: Run, customer_run: Run) -> None:
    made = json.loads(run("announcements", "create", "The API is away.", "--zh", "API 将暂停。", "--json").stdout)
    assert "The API is away." in customer_run("announcements", "list", LC_ALL="C").stdout
    assert "API 将暂停。" in customer_run("announcements", "list", LC_ALL="zh_CN.UTF-8").stdout
    assert run("announcements", "end", made["id"]).stdout == f"{made['id']} is ended.\n"
    assert json.loads(customer_run("announcements", "list", "--json").stdout)["data"] == []


def test_retention_is_shown_tried_set_and_given_back(run: Run) -> None:
    assert "kept_checkpoints" in run("retention", "show").stdout
    tried = json.loads(run("retention", "preview", "kept_checkpoints=1", "--json").stdout)
    assert [each["kind"] for each in tried["removed"]][-1] == "files"
    changed = json.loads(run("retention", "set", "kept_checkpoints=2", "run_log_days=1.5", "--json").stdout)
    assert {rule["name"]: rule["value"] for rule in changed["rules"] if rule["changed_by"]} == {
        "kept_checkpoints": 2,
        "run_log_days": 1.5,
    }
    back = json.loads(run("retention", "set", "kept_checkpoints=default", "run_log_days=default", "--json").stdout)
    assert [rule for rule in back["rules"] if rule["changed_by"]] == []


def test_page_redraws_itself_in_a_terminal_until_it_is_interrupted(broker: ServedBroker) -> None:
    terminal = Terminal.start(["top", "--interval", "0.5"], reach(broker))
    terminal.wait_for("standard")
    terminal.process.send_signal(2)
    assert terminal.process.wait(timeout=20) == 0
