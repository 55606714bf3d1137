"""`broker estimator report`: what finished jobs say, as tables, JSON and a page; nothing to say is said clearly."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from broker.cli.main import app as cli
from broker.estimator.report_html import render_html
from broker.estimator.report_table import describe_change
from broker.estimator.service import tell_changes
from broker.processes.boot import DatabaseUrls
from broker.system import System
from pricing.calibration.accuracy import judge_runs
from pricing.calibration.calibration import Calibration
from pricing.calibration.change import Change
from tests.broker.estimator.test_watch import run_job
from tests.broker.factories import Api, make_ready_customer
from tests.pricing.calibration.test_accuracy import run_of


async def report(system: System, urls: DatabaseUrls, *options: str) -> Result:
    """Run the command in a thread of its own, since it runs an event loop."""
    environment = {
        "BROKER_DATABASE_URL": urls.app,
        "BROKER_DATA_DIR": str(system.services.settings.data_dir),
        "COLUMNS": "120",
    }
    arguments = ["estimator", "report", *options]
    return await asyncio.to_thread(lambda: CliRunner().invoke(cli, arguments, env=environment))


async def judge_three(api: Api, system: System) -> list[Any]:
    customer = await make_ready_customer(api)
    return [await run_job(api, system, customer, times_p50=times) for times in (1.0, 1.0, 9.0)]


async def test_without_finished_jobs_it_says_so(system: System, urls: DatabaseUrls) -> None:
    result = await report(system, urls)
    assert result.exit_code == 1
    assert "No job has finished yet" in result.stderr


async def test_a_database_that_was_never_set_up_is_one_line(system: System, urls: DatabaseUrls) -> None:
    nowhere = replace(urls, app=urls.app.replace("broker_app", "nobody"))
    result = await report(system, nowhere)
    assert result.exit_code == 2
    assert result.stderr.startswith("broker: the database cannot be read; has `broker migrate` been run?")


async def test_tables_tell_coverage_and_error_by_group(api: Api, system: System, urls: DatabaseUrls) -> None:
    await judge_three(api, system)
    result = await report(system, urls)
    assert result.exit_code == 0, result.output
    assert "p90 covers 66.7% of 3 runs: too few to judge its band of 85% to 95%." in result.stdout
    assert "trainer version" in result.stdout
    assert "Reliability" in result.stdout


async def test_json_holds_every_judged_job(api: Api, system: System, urls: DatabaseUrls, tmp_path: Path) -> None:
    jobs, file = await judge_three(api, system), tmp_path / "report.json"
    result = await report(system, urls, "--format", "json", "--output", str(file))
    assert result.exit_code == 0, result.output
    written = json.loads(file.read_text())
    assert [run["job_id"] for run in written["runs"]] == [job["id"] for job in jobs]
    assert written["overall"]["runs"] == 3
    assert written["overall"]["median_error"] == 0.0
    assert [point["level"] for point in written["reliability"]][-1] == 0.9


async def test_the_page_needs_nothing_else_and_shows_every_job(
    api: Api, system: System, urls: DatabaseUrls, tmp_path: Path
) -> None:
    jobs, file = await judge_three(api, system), tmp_path / "report.html"
    result = await report(system, urls, "--format", "html", "--output", str(file))
    assert result.exit_code == 0, result.output
    page = file.read_text()
    assert page.count("<svg") == 2, "drift needs twenty jobs"
    assert all(job["id"] in page for job in jobs)
    assert page.count('class="miss"') == 1
    assert not any(word in page for word in ("http:", "https:", "src=", "<script", "url("))


def test_the_page_escapes_what_comes_from_the_data_and_draws_drift() -> None:
    runs = [run_of(float(100 + number), number=number, calibration="<b>") for number in range(45)]
    judged = judge_runs(runs)
    assert judged is not None
    page = render_html(judged, runs[-1].finished_at, {"h100-80g": Change(2.0, 6)})
    assert page.count("<svg") == 3
    assert "<td>&lt;b&gt;</td>" in page
    assert "h100-80g changed: it takes 2.00 times as long (6 runs)." in page
    assert "<b>" not in page


def test_a_card_that_changed_is_logged_once_and_stands_in_the_report(caplog: pytest.LogCaptureFixture) -> None:
    first, next_one = (
        Calibration(changes={"h100-80g": Change(2.0, runs, "2026-11-24T10:00:00+00:00")}) for runs in (6, 7)
    )
    for before, learnt in ((Calibration(), first), (first, next_one), (next_one, first)):
        tell_changes(before, learnt)
    [said, again] = caplog.messages
    assert said == again, "a later change of the same card is said, too"
    assert said.startswith("h100-80g takes 2.00 times as long since 2026-11-24T10:00:00+00:00, as 6 runs say")
    assert (
        describe_change("h100-80g", first.changes["h100-80g"])
        == "h100-80g changed: since 2026-11-24 10:00 it takes 2.00 times as long (6 runs)."
    )
