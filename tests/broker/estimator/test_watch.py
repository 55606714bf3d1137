"""What finished jobs say about their estimates, over the API, in the metrics and in the log."""

import logging
from typing import Any

from fastapi import FastAPI

from broker.app import create_app
from broker.calibrations.service import keep_calibration
from broker.capacity.model import SIMULATED
from broker.daemon.loops import Daemon
from broker.estimator.accuracy import judge_estimates
from broker.estimator.service import learn
from broker.estimator.watch import LOOKS_TO_COUNT, AccuracyReading, AccuracyWatch
from broker.jobs.reading.history import count_finished_jobs, list_finished_jobs, list_judged_jobs
from broker.jobs.rules.model import StopReason
from broker.jobs.running.control import request_stop
from broker.jobs.tables import Job
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from pricing.calibration.calibration import Calibration
from pricing.calibration.change import Change
from pricing.calibration.coverage import BandState
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.tenants import finish_job


async def run_job(api: Api, system: System, customer: Customer, *, times_p50: float) -> Any:
    """Run a job that takes so many times its p50; it names no quote, so that it is not stopped at its p90."""
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    seconds = round(job["estimate"]["gpu_seconds"]["p50"] * times_p50)
    await finish_job(api, system, job["id"], gpu_seconds=seconds)
    return job


async def test_without_finished_jobs_there_is_nothing_to_judge(system: System) -> None:
    async with system.work() as work:
        assert await judge_estimates(work) is None


async def test_finished_jobs_are_judged_by_the_estimate_they_were_admitted_with(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    for times in (1.0, 1.0, 9.0):
        await run_job(api, system, customer, times_p50=times)
    async with system.work() as work:
        judged = await judge_estimates(work)
    assert judged is not None
    assert judged.overall.runs == 3
    assert judged.overall.median_error == 0.0
    assert round(judged.overall.p90.share, 3) == 0.667


async def test_run_that_pretended_to_have_a_gpu_is_neither_learnt_from_nor_judged(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with system.work() as work:
        await register_pool(work, name="test", engine=SIMULATED)
        await run_cycle(work)
    [job] = (await api.get("/jobs"))["data"]
    await finish_job(api, system, job["id"], gpu_seconds=60)
    async with system.work() as work:
        assert await list_judged_jobs(work, latest=10) == await list_finished_jobs(work, latest=10) == []
        assert await count_finished_jobs(work) == 0
    await run_job(api, system, customer, times_p50=1.0)
    async with system.work() as work:
        assert len(await list_judged_jobs(work, latest=10)) == await count_finished_jobs(work) == 1


async def test_leaving_the_band_and_coming_back_is_said_once_each(
    api: Api, system: System, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("pricing.calibration.coverage.FEWEST_JUDGED", 3)
    customer, watch = await make_ready_customer(api), AccuracyWatch()
    caplog.set_level(logging.WARNING, logger="broker.estimator.watch")
    for _ in range(3):
        await run_job(api, system, customer, times_p50=9.0)
    for _ in range(2):
        await watch.refresh(system)
    assert watch.band is BandState.BELOW
    monkeypatch.setattr("broker.estimator.watch.LATEST_JUDGED", 10)
    for _ in range(10):
        await run_job(api, system, customer, times_p50=1.0)
    await run_job(api, system, customer, times_p50=9.0)
    for _ in range(2):
        await watch.refresh(system)
    assert watch.band is BandState.WITHIN
    assert [record.message for record in caplog.records] == [
        (
            "p90 of estimates covers 0.0 % of the last 3 runs, outside its band of 85 to 95 %: "
            "too many runs take longer than quoted; see `broker estimator report`"
        ),
        "p90 of estimates covers 90.0 % of the last 10 runs, within its band of 85 to 95 % again",
    ]


async def test_a_job_of_two_attempts_is_judged_whole_but_teaches_nothing(api: Api, system: System) -> None:
    """Decision 0006: the slow ones must not be left out."""
    customer = await make_ready_customer(api)
    job = await run_job(api, system, customer, times_p50=9.0)
    async with system.work() as work:
        (await work.session.get_one(Job, job["id"])).attempts = 2
    async with system.work() as work:
        judged = await judge_estimates(work)
    assert judged is not None
    assert judged.overall.p90.share == 0.0
    assert await learn(system) is None


async def test_a_job_that_was_stopped_at_its_quote_is_a_miss(api: Api, system: System) -> None:
    """Decision 0006: without those that nobody resumed, every miss would be left out."""
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    async with system.work() as work:
        row = await work.session.get_one(Job, job["id"])
        row.used_gpu_seconds = job["estimate"]["gpu_seconds"]["p90"]
        await request_stop(work, row, StopReason.LIMIT)
    async with system.work() as work:
        judged = await judge_estimates(work)
    assert judged is not None
    assert [run.has_ended for run in judged.runs] == [False]
    assert judged.overall.p90.share == 0.0


async def scrape(app: FastAPI) -> str:
    async with Api.connect(app, "") as scraper:
        return (await scraper.http.get("/metrics")).text


async def test_metrics_tell_coverage_and_calibration_in_every_process(
    api: Api, system: System, clock: ManualClock
) -> None:
    """One process has the daemon that learns; another, which only answers, says the same."""
    daemon = Daemon(system, agent=None)
    learning, answering = create_app(system, daemon), create_app(system)
    before = [await scrape(app) for app in (learning, answering)]
    customer = await make_ready_customer(api)
    await run_job(api, system, customer, times_p50=1.0)
    await daemon.learn()
    clock.advance(seconds=1)
    after = [await scrape(app) for app in (learning, answering)]
    for text in before:
        assert "broker_estimator_judged_runs 0.0" in text
        assert "broker_estimator_coverage_ratio{" not in text
    for text in after:
        assert "broker_estimator_calibration_version 1.0" in text
        assert "broker_estimator_judged_runs 1.0" in text
        assert 'broker_estimator_coverage_ratio{quantile="0.9"} 1.0' in text


async def test_learning_twice_judges_the_same(api: Api, system: System) -> None:
    customer, watch = await make_ready_customer(api), AccuracyWatch()
    await run_job(api, system, customer, times_p50=1.0)
    await learn(system)
    await watch.refresh(system)
    judged = watch.reading.judged
    await watch.refresh(system)
    assert watch.reading.judged == judged
    assert watch.reading.calibration == 1


async def test_jobs_are_counted_where_a_run_has_ended_and_now_and_then(api: Api, system: System) -> None:
    customer, reading = await make_ready_customer(api), AccuracyReading()
    for runs in (1, 2):
        job = await run_job(api, system, customer, times_p50=1.0)
        await reading.refresh(system)
        assert reading.judged is not None
        assert reading.judged.jobs == runs
    async with system.work() as work:
        (await work.session.get_one(Job, job["id"])).used_gpu_seconds = 0  # as no event tells
    counts = []
    for _ in range(LOOKS_TO_COUNT):
        await reading.refresh(system)
        counts.append(reading.judged.jobs)
    assert (counts[0], counts[-1]) == (2, 1)


async def test_a_card_that_changed_is_told_by_the_report_the_metrics_and_a_quote(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    changed = Calibration(version="1", runs=12, changes={"cpu": Change(2.0, 6, "2026-11-24T10:00:00+00:00")})
    async with system.work() as work:
        await keep_calibration(work, changed, version=1, finished_jobs=12)
    job = await run_job(api, system, customer, times_p50=1.0)
    assert any(each.startswith("card that changed: cpu takes 2.00 times") for each in job["estimate"]["uncertain"])
    [told] = (await api.get("/reports/estimator-accuracy"))["changes"]
    assert told == {"gpu": "cpu", "factor": 2.0, "runs": 6, "since": "2026-11-24T10:00:00Z"}
    assert 'broker_estimator_change_ratio{gpu_type="cpu"} 2.0' in (await api.http.get("/metrics")).text
