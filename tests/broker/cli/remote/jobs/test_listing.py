"""`broker jobs list` in 80 columns: whole ids, one line of reason, found by name, project, label and status."""

import json

import pytest
from rich.cells import cell_len

from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, submit
from tests.broker.served import Buyer


@pytest.mark.usefixtures("closed_pool")
def test_list_fits_80_columns_with_whole_ids_and_one_line_of_reason(run: Run, order: list[str]) -> None:
    """It showed `job_01…` nine times, and ten lines of reason a job."""
    job_id = submit(run, order, "--name", "品牌语气 " * 20)
    listed = run("jobs", "list", "--status", "queued").stdout.splitlines()
    assert all(cell_len(line) <= 80 for line in listed)
    at = next(number for number, line in enumerate(listed) if line.startswith(job_id))
    assert "queued" in listed[at]
    assert listed[at + 1].startswith("  品牌语气")
    assert listed[at + 1].endswith("…")
    run("jobs", "cancel", job_id)


def test_reason_is_whole_where_no_width_is_set(run: Run, order: list[str]) -> None:
    job_id = submit(run, order, "--name", "a name " * 20)
    wide = run("jobs", "list", COLUMNS=None).stdout
    assert ("a name " * 20).strip() in wide
    assert job_id in wide


def test_jobs_are_found_by_name_project_label_and_status(run: Run, order: list[str], buyer: Buyer) -> None:
    made = run("projects", "create", "autumn", "--customer", buyer.customer_id, "--json")
    project_id = json.loads(made.stdout)["id"]
    job_id = submit(run, order, "--name", "Autumn 24", "--project", "autumn", "--label", "season=autumn")
    other = submit(run, order)
    run("jobs", "watch", job_id)
    by_label, by_status = ["--label", "season=autumn"], ["--status", "succeeded"]
    for wanted in (["--name", "autumn"], ["--project", "autumn"], ["--project", project_id], by_label, by_status):
        assert job_id in run("jobs", "list", *wanted).stdout, wanted
    assert other not in run("jobs", "list", "--name", "autumn", "--all").stdout
    assert job_id not in run("jobs", "list", "--status", "failed").stdout
    unknown = run("jobs", "list", "--project", "nosuch")
    assert unknown.exit_code == 2
    assert "autumn" in unknown.stderr


def test_json_is_the_page_of_the_api(run: Run, order: list[str], admin: BrokerClient) -> None:
    submit(run, order)
    listed = json.loads(run("jobs", "list", "--limit", "1", "--json").stdout)
    assert listed.keys() == {"data", "next_cursor"}
    assert listed["data"][0]["id"] == admin.list_jobs(limit=1)["data"][0]["id"]


def test_no_job_says_how_to_submit_one(run: Run) -> None:
    assert "broker submit --config" in run("jobs", "list", "--name", "nothing is called so").stdout
