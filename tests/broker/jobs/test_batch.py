"""Many configurations of one data set in one request: all become jobs with holds of their own, or none does."""

from typing import Any

from fastapi import FastAPI

from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.factories import CONFIG, Api, Customer, make_ready_customer
from tests.broker.pools import register_pool
from tests.broker.running_jobs import broken_rules, read_balance
from tests.broker.worker_calls import worker_of


async def submit(api: Api, customer: Customer, configs: list[Any], *, expect: int = 201, **fields: Any) -> Any:
    key = fields.pop("key", None)
    body = {"configs": configs, "dataset_id": customer.dataset["id"], "customer_id": customer.id, **fields}
    return await api.post("/jobs/batch", body, expect=expect, key=key)


async def plan(system: System) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=8)
        await run_cycle(work)


def sweep(*ranks: int) -> list[Any]:
    return [{**CONFIG, "lora_rank": rank} for rank in ranks]


async def list_states(api: Api, batch: Any) -> list[str]:
    states = {job["id"]: job["status"] for job in (await api.get("/jobs", batch_id=batch["id"]))["data"]}
    return [states.pop(job["id"]) for job in batch["data"]]


async def test_a_sweep_runs_in_its_order_so_many_at_one_time(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    batch = await submit(api, customer, sweep(4, 8, 16), at_once=1, name="ranks", labels={"team": "a"}, key="sweep-1")
    assert batch["at_once"] == 1
    assert [job["config"]["lora_rank"] for job in batch["data"]] == [4, 8, 16]
    assert [job["name"] for job in batch["data"]] == ["ranks #1", "ranks #2", "ranks #3"]
    assert {job["batch_id"] for job in batch["data"]} == {batch["id"]}
    assert (
        await submit(api, customer, sweep(4, 8, 16), at_once=1, name="ranks", labels={"team": "a"}, key="sweep-1")
        == batch
    )
    held = sum(job["estimate"]["gpu_seconds"]["p90"] for job in batch["data"])
    assert (await read_balance(system, customer.contract["id"])).held_gpu_seconds == held
    await plan(system)
    assert await list_states(api, batch) == ["dispatched", "queued", "queued"]
    second = await api.get(f"/jobs/{batch['data'][1]['id']}")
    assert second["pending_reason"]["code"] == "batch_limit"
    async with worker_of(api, app, system, batch["data"][0]["id"]) as worker:
        await worker.claim()
        await worker.finish("failed", error={"code": "out_of_memory", "message": "no room"})
    await plan(system)
    assert await list_states(api, batch) == ["failed", "dispatched", "queued"]
    assert await broken_rules(system) == {}


async def test_a_sweep_tries_again_what_looks_transient_at_the_same_place_and_not_for_ever(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api)
    batch = await submit(api, customer, sweep(4, 8), at_once=1)
    for _attempt in range(system.services.settings.max_attempts):
        await plan(system)
        assert await list_states(api, batch) == ["dispatched", "queued"]
        async with worker_of(api, app, system, batch["data"][0]["id"]) as worker:
            await worker.claim()
            await worker.finish("failed", error={"code": "broker_away", "message": "no answer"})
    await plan(system)
    assert await list_states(api, batch) == ["failed", "dispatched"]
    assert await broken_rules(system) == {}


async def test_one_that_is_refused_refuses_all_and_is_named(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    wrong = await submit(api, customer, [*sweep(4, 8), {**CONFIG, "lora_rank": -1}], expect=422)
    assert wrong["errors"][0]["field"] == "configs.2.lora_rank"
    unknown = await submit(api, customer, sweep(4, 8), expect=422, gpu_types=["h200"])
    assert unknown["errors"][0]["field"] == "gpu_types.0"
    wide = await submit(api, customer, sweep(4, 8), expect=422, gpus=8)
    assert (wide["errors"][0]["field"], "no pool is open" in wide["detail"]) == ("gpus", True)
    poor = await make_ready_customer(api, monthly_budget="0.01")
    refused = await submit(api, poor, sweep(4, 8), expect=402, name="too dear")
    assert refused["detail"].startswith("configs.")
    assert (await api.get("/jobs"))["data"] == []
    for contract in (customer.contract, poor.contract):
        balance = await read_balance(system, contract["id"])
        assert (balance.held_gpu_seconds, balance.held_tokens) == (0, 0)


async def test_a_sweep_has_bounds(api: Api) -> None:
    customer = await make_ready_customer(api)
    for wrong in ({"configs": []}, {"configs": sweep(4) * 101}, {"at_once": 0}, {"at_once": 101}):
        body = {"configs": sweep(4), "dataset_id": customer.dataset["id"], "customer_id": customer.id, **wrong}
        refused = await api.post("/jobs/batch", body, expect=422)
        assert refused["errors"][0]["field"] in wrong
