"""The commands of a job by their short names, from its price to its adapter, in both languages."""

import hashlib
import json
from pathlib import Path

import pytest

from broker.cli.failures import ExitCode
from tests.broker.cli.conftest import Run, one_line, submit


def list_job_ids(run: Run) -> list[str]:
    return [job["id"] for job in json.loads(run("jobs", "--all", "--json").stdout)["data"]]


def test_dry_run_shows_the_price_and_submits_nothing(customer_run: Run, files: list[str]) -> None:
    before = list_job_ids(customer_run)
    shown = customer_run("submit", *files, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "on_demand" in shown.stdout
    assert "Nothing was submitted. Submit it: broker submit --quote quo_" in shown.stdout
    assert list_job_ids(customer_run) == before


@pytest.mark.story
def test_job_is_followed_and_its_adapter_is_pulled_once(customer_run: Run, files: list[str], tmp_path: Path) -> None:
    followed = customer_run("submit", *files, "--yes", "--follow", "--json")
    assert followed.exit_code == 0, followed.output
    job = json.loads(followed.stdout)
    assert job["status"] == "succeeded"
    got = customer_run("adapters", "pull", job["adapter_id"], "-o", str(tmp_path), "--json")
    assert got.exit_code == 0, got.output
    (pulled,) = json.loads(customer_run("adapters", "pull", job["adapter_id"], "-o", str(tmp_path), "--json").stdout)[
        "data"
    ]
    folder = Path(pulled["path"])
    weights = (folder / "adapter_model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == pulled["sha256"]
    by_name = f"{pulled['name']}_v{pulled['version']}"
    again = customer_run("adapters", "pull", by_name, "-o", str(tmp_path))
    assert "was there" in again.stdout
    missing = customer_run("adapters", "pull", f"{pulled['name']}_v999")
    assert missing.exit_code == ExitCode.USAGE
    losses = customer_run("metrics", job["id"])
    assert losses.exit_code == 0, losses.output


def test_month_under_way_is_reported_without_being_named(customer_run: Run) -> None:
    assert json.loads(customer_run("report", "--json").stdout)["month"] in customer_run("report", "--json").stdout
    assert "total" in customer_run("report").stdout


@pytest.mark.usefixtures("closed_pool")
def test_language_is_chosen_anywhere_in_the_line(run: Run, order: list[str]) -> None:
    job = submit(run, order)
    assert "排队" in run("why", job, "--lang", "zh").stdout
    assert "排队" in run("why", job, BROKER_LANG="zh", LC_ALL="C").stdout
    assert "is queued" in run("--lang=en", "why", job, LC_ALL="zh_CN.UTF-8").stdout
    run("jobs", "cancel", job)


def test_language_that_is_none_of_ours_is_one_line(run: Run) -> None:
    refused = run("jobs", "--lang", "fr")
    assert refused.exit_code == ExitCode.USAGE
    assert "say en or zh" in one_line(refused)
