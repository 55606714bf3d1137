"""The GPU types of a waiting job: all that are known where no pool is open, those that open later, those named anew."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from broker.daemon.sweeps import Sweeps
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.quotes.test_two_cards import LONG, quote
from tests.broker.rate_cards import publish_card
from tests.broker.running_jobs import broken_rules, read_balance


@pytest.fixture
async def customer(api: Api, system: System) -> Customer:
    await publish_card(system, "typed", date(2026, 11, 7), gpu_multipliers={"h100-80g": "2.5"})
    return await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z")


async def make_dear_customer(api: Api, system: System, **fields: Any) -> Customer:
    """Make a customer to whom an H100 costs a hundred times as much as other types."""
    await publish_card(system, "dear", date(2026, 11, 7), gpu_multipliers={"h100-80g": "9999"})
    return await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z", **fields)


async def open_pools(system: System, **pools: str) -> None:
    async with system.work() as work:
        for name, sku in pools.items():
            await register_pool(work, name=name, sku=sku)


async def plan(system: System) -> None:
    async with system.work() as work:
        await run_cycle(work)


async def submit(api: Api, customer: Customer, **fields: Any) -> Any:
    return await submit_job(api, customer.dataset["id"], config=LONG, customer_id=customer.id, **fields)


def name_types(job: Any) -> list[str]:
    return [accepted["sku"] for accepted in job["gpu_types"]]


async def patch(api: Api, job: Any, *skus: str, expect: int = 200) -> Any:
    return (await api.call("PATCH", f"/jobs/{job['id']}", json={"gpu_types": list(skus)}, expect=expect)).json()


async def test_a_quote_without_an_open_pool_is_for_all_types_that_pools_have(
    api: Api, system: System, customer: Customer
) -> None:
    """A past fault: it was for `cpu` alone, and its job waited for that for ever."""
    await open_pools(system, a="h100-80g", b="rtx-4090")
    for pool in ("a", "b"):
        await api.call("PATCH", f"/pools/{pool}", json={"open": False}, expect=200)
    made = await quote(api, customer.dataset["id"])
    assert [each["sku"] for each in made["gpu_types"]] == ["h100-80g", "rtx-4090"]
    job = await submit(api, customer, quote_id=made["id"])
    await plan(system)
    assert (await api.get(f"/jobs/{job['id']}"))["pending_reason"]["code"] == "no_open_pool"
    await api.call("PATCH", "/pools/a", json={"open": True}, expect=200)
    await plan(system)
    assert (await api.get(f"/jobs/{job['id']}"))["status"] == "dispatched"


async def test_a_job_that_named_no_types_runs_on_those_of_a_pool_that_opens_later(
    api: Api, system: System, customer: Customer
) -> None:
    job, choosy = await submit(api, customer), await submit(api, customer, gpu_types=["cpu"])
    assert name_types(job) == ["cpu"]
    await open_pools(system, a="rtx-4090")
    for _ in range(2):
        await Sweeps(system).offer_new_types()
    await plan(system)
    later, same = await api.get(f"/jobs/{job['id']}"), await api.get(f"/jobs/{choosy['id']}")
    assert (set(name_types(later)), later["status"]) == ({"cpu", "rtx-4090"}, "dispatched")
    assert (name_types(same), same["status"]) == (["cpu"], "queued")
    events = (await api.get(f"/jobs/{job['id']}/events"))["data"]
    told = [event["data"] for event in events if event["kind"] == "gpu_types_changed"]
    assert told == [{"added": ["rtx-4090"], "left_out": []}], "each type is offered once"
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("fields", [{}, {"max_cost": "300.00"}])
async def test_a_type_that_opens_later_and_breaks_the_promise_is_left_out(
    api: Api, system: System, fields: dict[str, str]
) -> None:
    """The job was quoted on the cheap type: it may not cost a hundred times as much without a word."""
    customer = await make_dear_customer(api, system)
    await open_pools(system, a="rtx-4090")
    made = await quote(api, customer.dataset["id"])
    job = await submit(api, customer, **({} if fields else {"quote_id": made["id"]}), **fields)
    await open_pools(system, b="h100-80g")
    await Sweeps(system).offer_new_types()
    after = await api.get(f"/jobs/{job['id']}")
    assert (name_types(after), after["limit"]) == (["rtx-4090"], job["limit"])


async def test_types_are_added_and_taken_from_a_waiting_job_and_its_hold_and_limit_follow(
    api: Api, system: System, customer: Customer
) -> None:
    await open_pools(system, a="rtx-4090", b="h100-80g")
    made = await quote(api, customer.dataset["id"])
    async with customer_api(api, customer.id) as own:
        job = await submit(own, customer, quote_id=made["id"], gpu_types=["rtx-4090"])
        held = (await read_balance(system, customer.contract["id"])).held_money
        both = await patch(own, job, "rtx-4090", "H100 SXM")
        assert set(name_types(both)) == {"rtx-4090", "h100-80g"}
        prices = {each["sku"]: each["prices"][0]["total_p90"]["amount"] for each in made["gpu_types"]}
        shown = next(each for each in both["gpu_types"] if each["sku"] == "h100-80g")
        assert abs(float(shown["price"]["amount"]) - float(prices["h100-80g"])) < 0.01
        assert float(both["limit"]["amount"]) >= max(map(float, prices.values())) - 0.01
        assert (await read_balance(system, customer.contract["id"])).held_money >= held
        assert name_types(await patch(own, job, "h100-80g")) == ["h100-80g"]
        unknown = await patch(own, job, "b200", expect=422)
        assert unknown["errors"][0]["field"] == "gpu_types.0"
        await own.call("PATCH", f"/jobs/{job['id']}", json={"priority": 9, "reason": "x"}, expect=403)
    await plan(system)
    assert (await api.get(f"/jobs/{job['id']}"))["status"] == "dispatched"
    late = await patch(api, job, "rtx-4090", expect=409)
    assert "waiting" in late["detail"]
    assert await broken_rules(system) == {}


async def test_a_waiting_job_is_told_what_starts_it_sooner_and_for_how_much(
    api: Api, system: System, customer: Customer
) -> None:
    await open_pools(system, a="rtx-4090", b="h100-80g")
    made = await quote(api, customer.dataset["id"])
    busy, job = [await submit(api, customer, quote_id=made["id"], gpu_types=["rtx-4090"]) for _ in range(2)]
    await plan(system)
    assert (await api.get(f"/jobs/{busy['id']}"))["sooner"] == []
    (sooner,) = (await api.get(f"/jobs/{job['id']}"))["sooner"]
    prices = {each["sku"]: Decimal(each["prices"][0]["total_p90"]["amount"]) for each in made["gpu_types"]}
    extra = prices["h100-80g"] - prices["rtx-4090"]
    assert abs(Decimal(sooner["extra"]["amount"]) - extra) <= Decimal("0.01")
    assert sooner["message"].startswith("on h100-80g now: ")
    added = await patch(api, job, "rtx-4090", "h100-80g", expect=200 if extra <= 0 else 403)
    assert added


async def test_ops_cannot_raise_what_a_job_may_cost_and_what_cannot_be_paid_changes_nothing(
    api: Api, system: System
) -> None:
    customer = await make_dear_customer(api, system, monthly_budget="30.00")
    await open_pools(system, a="rtx-4090", b="h100-80g")
    made = await quote(api, customer.dataset["id"])
    job = await submit(api, customer, quote_id=made["id"])
    assert name_types(job) == ["rtx-4090"], "the other cannot be paid for"
    await patch(api, job, "rtx-4090", "h100-80g", expect=403)
    async with customer_api(api, customer.id) as own:
        refused = await patch(own, job, "rtx-4090", "h100-80g", expect=402)
    assert refused["type"] == "/problems/budget-exceeded"
    assert name_types(await api.get(f"/jobs/{job['id']}")) == ["rtx-4090"]
    assert await broken_rules(system) == {}
