"""Queues that hold and drain, on the database: what is taken, what starts, and whom a limit strands."""

from typing import Any

from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool


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
