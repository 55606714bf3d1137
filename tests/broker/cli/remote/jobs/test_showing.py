"""`broker jobs show` and `why` for a job of a served broker, and ids as people type them."""

import json

import pytest

from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run, submit


def test_show_is_a_card_and_json_is_the_object(run: Run, order: list[str], admin: BrokerClient) -> None:
    """It printed 110 lines of JSON."""
    job_id = submit(run, order, "--name", "autumn")
    run("jobs", "watch", job_id)
    card = run("jobs", "show", job_id).stdout
    job = admin.get_job(job_id)
    for told in (job_id, "autumn", "succeeded", "3/3 steps", "quoted", "On us", str(job["adapter_id"]), "1 succeeded"):
        assert told in card
    assert f"broker jobs download {job_id}" in card
    assert json.loads(run("jobs", "show", job_id, "--json").stdout) == job


def test_key_that_may_not_see_all_shows_the_rest(run: Run, order: list[str], admin: BrokerClient) -> None:
    """Ops may see no quote and no contract."""
    job_id = submit(run, order)
    ops = admin.post("/api-keys", {"name": "ops", "role": "ops"})["key"]
    shown = run("jobs", "show", job_id, BROKER_API_KEY=ops)
    assert shown.exit_code == 0, shown.output
    assert job_id in shown.stdout


@pytest.mark.usefixtures("closed_pool")
def test_why_says_what_a_job_waits_for(run: Run, order: list[str]) -> None:
    job_id = submit(run, order)
    run("jobs", "pause", job_id)
    assert "paused on request" in run("jobs", "why", job_id).stdout
    assert json.loads(run("jobs", "why", job_id, "--json").stdout)["pause_reason"] == "pause"
    run("jobs", "cancel", job_id)


def test_beginning_of_an_id_is_enough_and_an_ambiguous_one_names_the_candidates(run: Run, order: list[str]) -> None:
    first, second = submit(run, order), submit(run, order)
    for typed in (first[:-1], first[4:-1], first.upper()):
        assert json.loads(run("jobs", "show", typed, "--json").stdout)["id"] == first
    ambiguous = run("jobs", "show", "job_0", "--json")
    assert ambiguous.exit_code == 2
    assert first in ambiguous.stderr or second in ambiguous.stderr
    assert run("jobs", "show", "../healthz").exit_code == 2
