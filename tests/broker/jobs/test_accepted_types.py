"""A job and its GPU types from quote to end: it runs on those alone, and is priced by the one that it ran on."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from fastapi import FastAPI

from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.quotes.test_two_cards import LONG, quote
from tests.broker.rate_cards import publish_card
from tests.broker.running_jobs import broken_rules, read_balance
from tests.broker.worker_calls import worker_of


async def plan_on(system: System, **pools: str) -> None:
    async with system.work() as work:
        for name, sku in pools.items():
            await register_pool(work, name=name, sku=sku)
        await run_cycle(work)


async def test_a_job_waits_for_a_type_that_it_accepts_and_is_charged_by_that(
    api: Api, app: FastAPI, system: System
) -> None:
    await publish_card(system, "typed", date(2026, 11, 7), gpu_multipliers={"h100-80g": "2.5"})
    customer = await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z")
    await plan_on(system, a="cpu", b="h100-80g")
    made = await quote(api, customer.dataset["id"])
    asked = {"quote_id": made["id"], "config": LONG, "customer_id": customer.id}
    await api.call("PATCH", "/pools/b", json={"open": False}, expect=200)
    for body, field in (
        ({"gpu_types": ["rtx-4090"]}, "gpu_types.0"),
        ({"finish_by": "2026-11-09T00:00:00Z"}, "finish_by"),
    ):
        refused = await submit_job(api, customer.dataset["id"], expect=422, **asked, **body)
        assert refused["errors"][0]["field"] == field
    unreachable = await submit_job(api, customer.dataset["id"], expect=409, **asked, finish_by="2026-11-10T04:00:02Z")
    assert unreachable["type"] == "/problems/deadline-unreachable"
    job = await submit_job(
        api,
        customer.dataset["id"],
        **asked,
        gpu_types=["H100 SXM"],
        prefer="fastest",
        finish_by=unreachable["earliest"],
    )
    (accepted,) = job["gpu_types"]
    assert (accepted["sku"], job["estimate"]["sku"], job["prefer"]) == ("h100-80g", "h100-80g", "fastest")
    on_h100 = made["gpu_types"][1]
    assert accepted["gpu_seconds"] == on_h100["gpu_seconds"]
    held = (await read_balance(system, customer.contract["id"])).held_money.to_decimal()
    assert abs(held - Decimal(on_h100["prices"][0]["total_p90"]["amount"])) <= Decimal("0.01")
    async with system.work() as work:
        await run_cycle(work)
    waiting = await api.get(f"/jobs/{job['id']}")
    assert (waiting["status"], waiting["pending_reason"]["code"]) == ("queued", "no_open_pool")
    assert "h100-80g" in waiting["pending_reason"]["message"]
    await api.call("PATCH", "/pools/b", json={"open": True}, expect=200)
    async with system.work() as work:
        await run_cycle(work)
    async with worker_of(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.finish("succeeded", usage=[worker.interval(2, 100)])
    ended = await api.get(f"/jobs/{job['id']}")
    assert ended["cost"]["amount"] == "0.021444"  # two seconds of 17 yuan an hour, 100 tokens
    assert await broken_rules(system) == {}


async def test_a_busy_type_is_quoted_with_its_start_and_its_wait_counts_towards_a_date(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    await plan_on(system, a="cpu")
    free = (await quote(api, customer.dataset["id"]))["gpu_types"][0]["expected_start"]
    now = f"{clock.now:%Y-%m-%dT%H:%M:%SZ}"
    assert free == {"queue": "standard", "p50": now, "p90": now}
    first = await submit_job(api, customer.dataset["id"], customer_id=customer.id, config=LONG)
    async with system.work() as work:
        await run_cycle(work)
    assert (await api.get(f"/jobs/{first['id']}"))["status"] == "dispatched"
    made = await quote(api, customer.dataset["id"])
    seconds, start = made["gpu_types"][0]["gpu_seconds"], made["gpu_types"][0]["expected_start"]
    assert parse(start["p50"]) == clock.now + timedelta(seconds=seconds["p50"])
    assert parse(start["p90"]) >= parse(start["p50"])
    alone = clock.now + timedelta(seconds=seconds["p90"] + 1)
    asked = {"customer_id": customer.id, "config": LONG, "quote_id": made["id"]}
    refused = await submit_job(api, customer.dataset["id"], expect=409, **asked, finish_by=alone.isoformat())
    assert parse(refused["earliest"]) > alone
    await submit_job(api, customer.dataset["id"], **asked, finish_by=refused["earliest"])
    await api.call("PATCH", "/queues/standard", json={"open": False}, expect=200)
    held = (await quote(api, customer.dataset["id"]))["gpu_types"][0]["expected_start"]
    assert held == {"queue": "standard", "p50": None, "p90": None}
    late = (clock.now + timedelta(days=30)).isoformat()
    unknown = await submit_job(api, customer.dataset["id"], expect=409, **asked, finish_by=late)
    assert unknown["errors"][0]["message"] == "cannot be promised now"


def parse(written: str) -> datetime:
    return datetime.fromisoformat(written)


async def test_a_job_of_several_devices_has_them_all_of_one_machine_or_none(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="a", sku="rtx-4090", total_gpus=1)
        await register_pool(work, name="b", sku="a100-80g", total_gpus=4)
        await run_cycle(work)
    asked = {"config": {**LONG, "gradient_accumulation": 4}, "dataset_id": customer.dataset["id"]}
    made = await api.post("/quotes", {**asked, "gpus": 2}, expect=201)
    assert (made["estimate"]["sku"], made["estimate"]["gpus"]) == ("a100-80g", 2)
    small = made["gpu_types"][1]
    assert small["sku"] == "rtx-4090"
    assert "jobs over several machines come later; ask for 1 or fewer" in small["reason"]
    assert made["gpu_types"][0]["expected_start"]["p50"] is not None
    refused = await api.post("/quotes", {**asked, "gpus": 8}, expect=422)
    assert refused["errors"][0]["field"] == "gpus"
    ordered = {**asked, "customer_id": customer.id}
    other = await api.post("/jobs", {**ordered, "quote_id": made["id"], "gpus": 4}, expect=409)
    assert other["type"] == "/problems/quote-mismatch"
    job = await api.post("/jobs", {**ordered, "quote_id": made["id"]}, expect=201)
    assert job["gpus"] == 2
    held = (await read_balance(system, customer.contract["id"])).held_gpu_seconds
    assert held == made["estimate"]["gpu_seconds"]["p90"]
    more = [await api.post("/jobs", {**ordered, "gpus": 2}, expect=201) for _ in range(2)]
    async with system.work() as work:
        await run_cycle(work)
    states = [(await api.get(f"/jobs/{each['id']}"))["status"] for each in (job, *more)]
    assert states == ["dispatched", "dispatched", "queued"]
    (run,) = (await api.get(f"/jobs/{job['id']}/runs"))["data"]
    assert (run["pool"], run["gpus"]) == ("b", 2)
