"""Queues that hold and drain, on the database: what is taken, what starts, and whom a limit strands."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.jobs.reading.queueing import DeviceHolder
from broker.processes.boot import DatabaseUrls
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.snapshot import count_running
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.rows import owner_connection


async def submit(api: Api, customer: Customer, **fields: Any) -> Any:
    return await submit_job(api, customer.dataset["id"], customer_id=customer.id, **fields)


async def tune(api: Api, **changes: Any) -> Any:
    return (await api.call("PATCH", "/queues/standard", json=changes, expect=200)).json()


async def list_started(api: Api, system: System, *job_ids: str) -> list[bool]:
    async with system.work() as work:
        await run_cycle(work)
    return [(await api.get(f"/jobs/{job_id}"))["status"] == "dispatched" for job_id in job_ids]


async def test_held_queue_takes_jobs_and_drained_one_starts_them_and_takes_none(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=8)
    await tune(api, state="holding")
    first, second = (await submit(api, customer))["id"], (await submit(api, customer, key="once"))["id"]
    assert await list_started(api, system, first, second) == [False, False]
    await tune(api, state="draining")
    refused = await submit(api, customer, expect=409)
    assert (refused["type"], refused["queue"]) == ("/problems/queue-draining", "standard")
    assert (await submit(api, customer, key="once"))["id"] == second
    assert await list_started(api, system, first, second) == [True, True]


async def test_limit_that_strands_waiting_jobs_is_warned_of_by_their_names(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=4)
        await register_pool(work, name="small", total_gpus=1)
    small, large = (await submit(api, customer))["id"], (await submit(api, customer, gpus=2))["id"]
    told = [await tune(api, max_gpus=1), await tune(api, max_gpus=2), await tune(api, allowed_pools=["small"])]
    assert [[warning["job_ids"] for warning in queue["warnings"]] for queue in told] == [[[large]], [], [[large]]]
    assert large in told[0]["warnings"][0]["message"]
    assert small not in told[0]["warnings"][0]["message"]


async def set_quota(api: Api, customer: Customer, *, expect: int = 200, **changes: Any) -> Any:
    path = f"/contracts/{customer.contract['id']}/quota"
    return (await api.call("PATCH", path, json={"reason": "a trial", **changes}, expect=expect)).json()


async def test_quota_of_a_contract_holds_at_the_door_and_at_dispatch_and_names_whom_it_strands(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=8)
    one, two, wide = [(await submit(api, customer, gpus=gpus))["id"] for gpus in (1, 1, 4)]
    told = await set_quota(api, customer, max_jobs=1, max_gpus=2)
    assert (told["warnings"][0]["job_ids"], told["frees"]) == ([wide], 0)
    assert await list_started(api, system, one, two, wide) == [True, False, False]
    codes = [(await api.get(f"/jobs/{job_id}"))["pending_reason"]["code"] for job_id in (two, wide)]
    assert codes == ["quota", "too_large_for_quota"]
    refused = await submit(api, customer, gpus=4, expect=409)
    assert (refused["type"], refused["most_gpus"]) == ("/problems/too-large-for-limit", 2)
    told = await set_quota(api, customer, max_jobs=None, max_gpus=8, weight=300)
    assert (told["freed_job_ids"], told["frees"], told["weight"]) == ([two, wide], 2, 300)
    entry = (await api.get("/audit"))["data"][0]
    await api.post(f"/audit/{entry['id']}/undo", expect=200)
    quota = await api.get(f"/contracts/{customer.contract['id']}/quota")
    assert (quota["max_jobs"], quota["max_gpus"], quota["weight"]) == (1, 2, 100)
    await set_quota(api, customer, max_gpus=0, expect=422)


async def test_changes_of_queues_and_pools_name_how_many_they_let_start(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=2)
    await tune(api, state="holding")
    jobs = [(await submit(api, customer))["id"] for _ in range(3)]
    freed = await tune(api, state="open")
    assert (freed["frees"], freed["freed_job_ids"]) == (2, jobs[:2])
    assert (await tune(api, max_wait_seconds=3600))["frees"] == 0
    closed = (await api.call("PATCH", "/pools/test", json={"open": False}, expect=200)).json()
    opened = (await api.call("PATCH", "/pools/test", json={"open": True}, expect=200)).json()
    assert (closed["frees"], opened["frees"]) == (0, 2)
    first = (await api.call("PATCH", f"/jobs/{jobs[2]}", json={"priority": 900, "reason": "x"}, expect=200)).json()
    assert first["freed_job_ids"] == [jobs[2]]
    refused = await submit(api, customer, gpus=2, queue="standard", expect=201)
    await tune(api, max_gpus=1)
    too_large = await submit(api, customer, gpus=2, expect=409)
    assert too_large["errors"][0]["message"] == "queue standard may hold 1 at one time"
    assert refused["status"] == "queued"


async def test_gpu_hours_of_a_window_count_what_ended_in_it(
    api: Api, system: System, urls: DatabaseUrls, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    refused = await api.call("PATCH", "/queues/standard", json={"max_gpu_hours": 1}, expect=422)
    assert refused.json()["errors"][0]["field"] == "window_hours"
    for hours, window in ((1, None), (None, 2)):
        body = {"max_gpu_hours": hours, "window_hours": window, "max_jobs": None}
        await api.call("PATCH", "/queues/standard", json=body, expect=422)
    await tune(api, max_gpu_hours=1, window_hours=2)
    first, second = [(await submit(api, customer))["id"] for _ in range(2)]
    assert await list_started(api, system, first, second) == [True, False]
    clock.advance(minutes=59, seconds=50)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    with owner_connection(urls) as connection:
        connection.execute(
            "UPDATE runs SET status = 'succeeded', cause = 'succeeded', ended_at = %s WHERE job_id = %s",
            [clock.now, first],
        )
        connection.execute("UPDATE jobs SET status = 'succeeded' WHERE id = %s", [first])
    assert await list_started(api, system, second) == [False]
    reason = (await api.get(f"/jobs/{second}"))["pending_reason"]
    assert (reason["code"], reason["evidence"]["used"]) == ("queue_limit", "1")
    clock.advance(hours=1, minutes=30)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    assert await list_started(api, system, second) == [True]
    assert (await tune(api, max_gpu_hours=None))["window_hours"] is None


def test_what_runs_counts_in_a_window_with_all_that_is_expected_of_it() -> None:
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    started = now - timedelta(hours=3)
    running = DeviceHolder("job_1", "con_a", "test", None, 2, started, 4 * 3600, queue="standard")
    overdue = replace(running, gpus=1, expected_seconds=60)
    elsewhere, stopping = replace(running, queue="priority"), replace(running, expected_seconds=None)
    counted = count_running("standard", [running, overdue, elsewhere, stopping], now - timedelta(hours=1), now)
    assert counted == 2 * 2 * 3600 + 3600
