"""Jobs that the cycle cannot read or start: they are set aside and told so, and stop nobody else's planning."""

import json

import pytest

from broker.jobs.running import starts
from broker.jobs.tables import Job
from broker.processes.boot import DatabaseUrls
from broker.scheduling.cycle.live import CycleResult, run_cycle
from broker.system import System
from broker.work import Work
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.rows import owner_connection

SEVENTY_YEARS = 2_239_844_740
BROKEN = {
    "text": '{"gpu_seconds": {"p50": "many", "p90": 9}}',
    "below zero": '{"gpu_seconds": {"p50": -1, "p90": 9}}',
    "beyond 64 bits": '{"gpu_seconds": {"p50": 1e30, "p90": 9}}',
    "null": '{"gpu_seconds": {"p50": null, "p90": 9}}',
    "nothing": "{}",
    "a list": "[]",
    "a number": "7",
}


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def cycle_once(system: System, *, gpus: int = 1) -> CycleResult:
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=gpus)
        return await run_cycle(work)


def write_json(urls: DatabaseUrls, job_id: str, column: str, written: str | None) -> None:
    with owner_connection(urls) as connection:
        connection.execute(f"UPDATE jobs SET {column} = %s WHERE id = %s", [written, job_id])


def read_json(urls: DatabaseUrls, job_id: str, column: str) -> str:
    with owner_connection(urls) as connection:
        row = connection.execute(f"SELECT {column} FROM jobs WHERE id = %s", [job_id]).fetchone()
    assert row is not None
    return json.dumps(row[column])


async def test_job_of_seventy_years_stops_neither_planning_nor_metrics(
    api: Api, system: System, urls: DatabaseUrls, customer: Customer
) -> None:
    """A past fault: its GPU-seconds did not fit into 32 bits, and nothing was planned or measured any more."""
    long, short = await submit(api, customer), await submit(api, customer)
    estimate = json.loads(read_json(urls, long, "estimate"))
    estimate["gpu_seconds"] = {"p50": SEVENTY_YEARS, "p90": 2 * SEVENTY_YEARS}
    write_json(urls, long, "estimate", json.dumps(estimate))
    assert await cycle_once(system) == CycleResult(started=1, waiting=1)
    assert await cycle_once(system) == CycleResult(started=0, waiting=1), "it holds the device, and is forecast from"
    assert (await api.get(f"/jobs/{long}"))["status"] == "dispatched"
    assert (await api.get(f"/jobs/{short}"))["expected_start"] is None, "beyond ten years there is no forecast"
    assert (await api.http.get("/metrics")).status_code == 200


@pytest.mark.parametrize("written", BROKEN.values(), ids=BROKEN)
async def test_job_that_cannot_be_read_is_set_aside_and_planned_again_once_mended(
    api: Api,
    system: System,
    urls: DatabaseUrls,
    customer: Customer,
    caplog: pytest.LogCaptureFixture,
    written: str,
) -> None:
    broken, good = await submit(api, customer), await submit(api, customer)
    mended = read_json(urls, broken, "estimate")
    write_json(urls, broken, "estimate", written)
    assert await cycle_once(system) == CycleResult(started=1, waiting=1, set_aside=1)
    assert (await api.get(f"/jobs/{good}"))["status"] == "dispatched"
    told = await api.get(f"/jobs/{broken}")
    assert (told["status"], told["estimate"], told["pending_reason"]["code"]) == ("queued", None, "set_aside")
    assert [job["id"] for job in (await api.get("/jobs"))["data"]] == [good, broken]
    measured = (await api.http.get("/metrics")).text
    assert "broker_jobs_set_aside 1.0" in measured
    assert 'broker_jobs_waiting{reason="set_aside"} 1.0' in measured
    await cycle_once(system)
    assert caplog.text.count(f"job {broken} is set aside") == 1, "ops is told once, not in each cycle"
    write_json(urls, broken, "estimate", mended)
    assert await cycle_once(system, gpus=2) == CycleResult(started=1, waiting=0)
    assert (await api.get(f"/jobs/{broken}"))["status"] == "dispatched"


async def test_job_whose_remainder_cannot_be_read_gives_its_place_to_the_next(
    api: Api, system: System, urls: DatabaseUrls, customer: Customer
) -> None:
    """The planner can plan with it; that its end could not be accounted for shows when it is about to start."""
    broken, good = await submit(api, customer), await submit(api, customer)
    write_json(urls, broken, "remaining", '{"gpu_seconds": {"p50": 5, "p90": 9}}')
    for waiting in ((1, 1), (0, 1)):
        started, left = waiting
        assert await cycle_once(system) == CycleResult(started=started, waiting=left, set_aside=1)
    assert [(await api.get(f"/jobs/{job_id}"))["status"] for job_id in (broken, good)] == ["queued", "dispatched"]
    write_json(urls, broken, "remaining", None)
    assert await cycle_once(system, gpus=2) == CycleResult(started=1, waiting=0)


async def test_job_that_cannot_start_gives_its_place_to_the_next_in_the_same_cycle(
    api: Api, system: System, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had the only device planned for it in each cycle, and who came after it never started."""
    bad, good = await submit(api, customer), await submit(api, customer)

    async def expect(_work: Work, job: Job, _gpu_type: str) -> None:
        if job.id == bad:
            raise LookupError("a row that it needs is gone")

    monkeypatch.setattr(starts, "expect_on_type", expect)
    assert await cycle_once(system) == CycleResult(started=1, waiting=1, set_aside=1)
    assert [(await api.get(f"/jobs/{job_id}"))["status"] for job_id in (bad, good)] == ["queued", "dispatched"]
