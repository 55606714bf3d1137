"""Jobs paused, resumed, cancelled, followed and downloaded by the command."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from broker.cli.failures import ExitCode
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, one_line, reach, submit
from tests.broker.cli.terminal import Terminal
from tests.broker.served import ServedBroker


@pytest.mark.usefixtures("closed_pool")
def test_job_is_paused_resumed_and_cancelled(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    answers = [run("jobs", action, job_id).stdout.strip() for action in ("pause", "resume", "cancel")]
    assert answers == [f"{job_id} is paused.", f"{job_id} is queued.", f"{job_id} is cancelled."]
    watched = run("jobs", "watch", job_id)
    assert (watched.exit_code, f"{job_id} cancelled" in watched.stdout) == (1, True)


@pytest.mark.usefixtures("closed_pool")
def test_watch_ends_where_a_job_is_paused_and_says_why(run: Run, order: list[str]) -> None:
    """A job that nobody resumes would have been watched for ever."""
    job_id = submit(run, order)
    run("jobs", "pause", job_id)
    watched = run("jobs", "watch", job_id)
    assert watched.exit_code == ExitCode.PAUSED
    assert f"broker jobs resume {job_id}" in watched.stdout
    run("jobs", "cancel", job_id)


@pytest.mark.usefixtures("closed_pool")
def test_max_cost_is_raised_with_the_resumption(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    run("jobs", "pause", job_id)
    resumed = json.loads(run("jobs", "resume", job_id, "--max-cost", "12.50", "--json").stdout)
    run("jobs", "cancel", job_id)
    assert (resumed["status"], resumed["max_cost"]["amount"]) == ("queued", "12.50")


def test_action_that_the_status_does_not_allow_is_one_line(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    run("jobs", "watch", job_id)
    refused = run("jobs", "cancel", job_id)
    assert refused.exit_code == ExitCode.REFUSED
    assert one_line(refused).startswith("broker: The object's state does not allow this. (409) ")
    problem = json.loads(run("jobs", "cancel", job_id, "--json").stderr)
    assert (problem["type"], problem["status"]) == ("/problems/illegal-transition", 409)


def test_watch_follows_to_the_end_line_by_line_and_json_is_the_job(
    run: Run, order: list[str], admin: BrokerClient
) -> None:
    job_id = submit(run, order)
    watched = run("jobs", "watch", job_id)
    assert watched.exit_code == 0, watched.output
    assert f"{job_id} succeeded: " in watched.stdout
    assert json.loads(run("jobs", "watch", job_id, "--json").stdout) == admin.get_job(job_id)


def test_submit_and_watch_in_one(run: Run, order: list[str]) -> None:
    followed = run("jobs", "submit", "-y", "--watch", "--json", *order)
    assert followed.exit_code == 0, followed.output
    assert json.loads(followed.stdout)["status"] == "succeeded"


def test_log_events_and_usage_tell_what_happened(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    log = run("jobs", "log", "--follow", job_id)
    assert log.exit_code == 0, log.output
    assert "attempt 1 started" in log.stdout
    assert "run succeeded: training finished" in log.stdout
    events = json.loads(run("jobs", "events", job_id, "--json").stdout)["data"]
    assert [event["kind"] for event in events][:2] == ["submitted", "dispatched"]
    assert len(run("jobs", "events", job_id).stdout.splitlines()) == len(events)
    usage = json.loads(run("jobs", "usage", job_id, "--json").stdout)
    assert f"{usage['gpu_seconds']:,}" in run("jobs", "usage", job_id).stdout


def test_adapter_is_downloaded_by_its_job_or_its_id_and_nothing_is_overwritten(
    run: Run, order: list[str], admin: BrokerClient, tmp_path: Path
) -> None:
    """A job had no way to its adapter, and the command no way to download one."""
    job_id = submit(run, order)
    watched = run("jobs", "watch", job_id)
    assert watched.exit_code == 0, watched.output
    target = tmp_path / "adapter.safetensors"
    fetched = json.loads(run("jobs", "download", job_id, "--output", str(target), "--json").stdout)
    assert target.stat().st_size == fetched["size_bytes"]
    refused = run("adapters", "download", fetched["id"][:-2], "-o", str(target))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run("adapters", "download", fetched["id"], "-o", str(folder)).exit_code == 0
    assert [file.read_bytes() for file in folder.iterdir()] == [target.read_bytes()]
    assert fetched["id"] in run("adapters", "list").stdout
    assert job_id in run("adapters", "show", fetched["id"]).stdout
    nowhere = run("adapters", "download", fetched["id"], "-o", str(tmp_path / "no" / "folder.safetensors"))
    assert (nowhere.exit_code, "cannot be written" in one_line(nowhere)) == (1, True)


@pytest.mark.usefixtures("closed_pool")
def test_job_without_an_adapter_yet_says_so(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    refused = run("jobs", "download", job_id)
    run("jobs", "cancel", job_id)
    assert (refused.exit_code, "once it has succeeded" in one_line(refused)) == (1, True)


@pytest.mark.usefixtures("closed_pool")
def test_ctrl_c_while_watching_leaves_the_job_alone(run: Run, order: list[str], broker: ServedBroker) -> None:
    job_id = submit(run, order)
    watching = Terminal.start(["jobs", "watch", job_id], reach(broker))
    watching.wait_for("queued")
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait() == ExitCode.INTERRUPTED
    assert f"{job_id} goes on" in watching.shown
    assert json.loads(run("jobs", "show", job_id, "--json").stdout)["status"] == "queued"
    run("jobs", "cancel", job_id)


def test_reader_that_goes_away_is_no_traceback(broker: ServedBroker, run: Run, order: list[str]) -> None:
    submit(run, order)
    environment = reach(broker)
    for arguments in ("jobs list --json", "jobs list", "--help"):
        line = f"{sys.executable} -m broker.cli.main {arguments} | true"
        done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == "", arguments


@pytest.mark.parametrize(("asked", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_terminal_is_coloured_unless_no_color_is_set(
    broker: ServedBroker, run: Run, order: list[str], asked: dict[str, str], is_coloured: bool
) -> None:
    submit(run, order)
    listing = Terminal.start(["jobs", "list"], reach(broker) | asked)
    assert listing.wait() == 0
    assert (re.search(rb"\x1b\[[0-9;]*3[0-9]m", listing.raw) is not None) == is_coloured
    assert all(len(line) <= 80 for line in listing.shown.splitlines())


def test_no_colour_where_nobody_looks(broker: ServedBroker, run: Run, order: list[str]) -> None:
    submit(run, order)
    shown = broker.run_cli("jobs", "list")
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout
