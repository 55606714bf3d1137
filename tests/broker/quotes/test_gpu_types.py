"""A card that multiplies by GPU type, from quote to invoice: every price is that of the type, every promise holds."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs.tables import Run
from broker.system import System
from pricing.grants import GrantScope
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.quotes.test_two_cards import LONG, price_on, quote, submit
from tests.broker.rate_cards import publish_card
from tests.broker.running_jobs import HOUR, add_grant, broken_rules, read_balance, read_hold, report_usage, start_job
from tests.broker.worker_calls import Worker, dispatched_worker, stop_at_a_checkpoint

SIGNED_ON = "2026-11-08T00:00:00Z"
MULTIPLIERS = {"h100-80g": "2.5", "rtx-3090": "0.75"}
NOVEMBER = "2026-11"


@dataclass
class Place:
    """Where a test's jobs run: one pool, whose devices may change between runs."""

    api: Api
    app: FastAPI
    system: System

    async def offer(self, sku: str, *, pool: str = "test") -> None:
        """Let a pool have devices of a type, by any spelling."""
        async with self.system.work() as work:
            await register_pool(work, name=pool, sku=sku)

    async def close(self, pool: str) -> None:
        await self.api.call("PATCH", f"/pools/{pool}", json={"open": False}, expect=200)

    @asynccontextmanager
    async def running(self, job_id: str, sku: str) -> AsyncIterator[Worker]:
        async with dispatched_worker(self.api, self.app, self.system, job_id, sku=sku) as worker:
            await worker.claim()
            yield worker

    async def draft(self, customer: Customer) -> Any:
        body = {"contract_id": customer.contract["id"], "month": NOVEMBER}
        return await self.api.post("/invoices", body, expect=201)


@pytest.fixture
async def place(api: Api, app: FastAPI, system: System) -> Place:
    await publish_card(system, "typed", date(2026, 11, 7), gpu_multipliers=MULTIPLIERS)
    return Place(api, app, system)


async def make_buyer(api: Api, **terms: Any) -> Customer:
    return await make_ready_customer(api, starts_at=SIGNED_ON, **terms)


@pytest.mark.parametrize(("sku", "per_gpu_hour"), [("H100 SXM", "17"), ("rtx-3090", "5.1"), ("rtx-4090", "6.8")])
async def test_a_job_is_quoted_held_and_invoiced_at_the_price_of_its_gpu_type(
    place: Place, sku: str, per_gpu_hour: str
) -> None:
    customer = await make_buyer(place.api)
    await place.offer(sku)
    made = await quote(place.api, customer.dataset["id"])
    shown = price_on(made, "on_demand")
    assert (shown["gpu_hour_price"], shown["rate_card_version"]) == (per_gpu_hour, "typed")
    estimate, tokens = made["estimate"], made["estimate"]["tokens"]
    exact = Fraction(estimate["gpu_seconds"]["p90"]) * Fraction(per_gpu_hour) / 3600
    assert abs(Fraction(shown["gpu_cost_p90"]["amount"]) - exact) <= Fraction(1, 200)
    job = await submit(place.api, customer, made)
    held = (await read_balance(place.system, customer.contract["id"])).held_money
    assert abs(held.to_decimal() - Decimal(shown["total_p90"]["amount"])) <= Decimal("0.01")
    async with place.running(job["id"], sku) as worker:
        await worker.post("heartbeats", usage=[worker.interval(estimate["gpu_seconds"]["p90"], tokens)])
        await worker.finish("succeeded", expect=200)
    lines = {line["meter"]: line for line in (await place.draft(customer))["lines"]}
    assert lines["gpu_seconds"]["unit_price"] == per_gpu_hour
    assert lines["tokens"]["unit_price"] == "0.00012"
    (after,) = (await place.api.get("/jobs"))["data"]
    assert Decimal(after["borne"]["amount"]) == 0
    assert await broken_rules(place.system) == {}


async def test_offers_show_each_device_with_its_price(place: Place) -> None:
    customer = await make_buyer(place.api)
    made = await quote(place.api, customer.dataset["id"])
    offers = (await place.api.get(f"/quotes/{made['id']}/offers"))["data"]
    prices = {offer["sku"]: price_on(offer, "on_demand") for offer in offers}
    told = {sku: (prices[sku]["gpu_hour_price"], prices[sku]["gpu_multiplier"]) for sku in ("cpu", *MULTIPLIERS)}
    assert told == {"cpu": ("6.8", "1"), "h100-80g": ("17", "2.5"), "rtx-3090": ("5.1", "0.75")}
    h100 = next(offer for offer in offers if offer["sku"] == "h100-80g")
    exact = Fraction(h100["gpu_seconds"]["p50"]) * 17 / 3600
    assert abs(Fraction(prices["h100-80g"]["gpu_cost"]["amount"]) - exact) <= Fraction(1, 200)


async def test_two_runs_of_a_job_on_different_types_are_charged_each_by_its_own(place: Place) -> None:
    customer = await make_buyer(place.api)
    await place.offer("cpu", pool="a")
    await place.offer("h100-80g")
    job = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id)
    await place.close("a")
    async with place.running(job["id"], "cpu") as worker:
        await worker.post("heartbeats", usage=[worker.interval(20, 100)])
        await place.api.post(f"/jobs/{job['id']}/pause")
        await stop_at_a_checkpoint(worker)
    await place.api.post(f"/jobs/{job['id']}/resume")
    async with place.running(job["id"], "h100-80g") as worker:
        await worker.finish("succeeded", usage=[worker.interval(20, 100)])
    runs = (await place.api.get(f"/jobs/{job['id']}/runs"))["data"]
    assert sorted(run["gpu_type"] for run in runs) == ["cpu", "h100-80g"]
    assert (await place.api.get(f"/jobs/{job['id']}"))["estimate"]["sku"] == "h100-80g"
    lines = [line for line in (await place.draft(customer))["lines"] if line["meter"] == "gpu_seconds"]
    assert {line["unit_price"]: line["quantity"] for line in lines} == {"6.8": 20, "17": 20}
    assert (await read_hold(place.system, job["id"])).hold.state == "settled"
    assert await broken_rules(place.system) == {}


@pytest.mark.parametrize("promise", ["limit_micros", "cap_micros"])
async def test_a_promise_holds_on_a_dearer_type_than_was_quoted(place: Place, promise: str) -> None:
    """The hold is of the quoted type; on one 2.5 times as dear the same promise is reached after less time."""
    customer = await make_buyer(place.api)
    job = await start_job(place.system, customer, tokens=0, gpu_type="h100-80g", **{promise: 8_500_000})
    await report_usage(place.system, job, gpu_seconds=HOUR)
    (shown,) = (await place.api.get("/jobs"))["data"]
    assert (shown["cost"]["amount"], shown["borne"]["amount"]) == ("8.50", "8.50")
    assert (await place.draft(customer))["total"]["amount"] == "8.50"
    assert await broken_rules(place.system) == {}


async def test_a_months_budget_holds_on_a_dearer_type(place: Place) -> None:
    customer = await make_buyer(place.api, monthly_budget="8.50")
    job = await start_job(place.system, customer, tokens=0, gpu_type="h100-80g")
    await report_usage(place.system, job, gpu_seconds=HOUR)
    assert (await place.draft(customer))["total"]["amount"] == "8.50"
    balance = await read_balance(place.system, customer.contract["id"])
    assert balance.used_money.to_decimal() == Decimal("8.5")
    assert await broken_rules(place.system) == {}


async def test_what_is_held_at_the_quoted_price_is_given_back_as_it_is_used_at_another(place: Place) -> None:
    """A hold of one hour on the quoted type holds half an hour after half an hour on another, not a whole one."""
    customer = await make_buyer(place.api)
    job = await start_job(place.system, customer, tokens=0, gpu_type="rtx-3090")
    await report_usage(place.system, job, gpu_seconds=HOUR // 2)
    balance = await read_balance(place.system, customer.contract["id"])
    assert (balance.held_gpu_seconds, balance.used_gpu_seconds) == (HOUR // 2, HOUR // 2)
    assert balance.used_money.to_decimal() == Decimal("2.55")
    assert await broken_rules(place.system) == {}


async def test_a_grant_pays_for_types_without_a_multiplier_and_its_own_price_stays(place: Place) -> None:
    customer = await make_buyer(place.api)
    await add_grant(place.system, customer.contract["id"], HOUR)
    on_base = await start_job(place.system, customer, gpu_seconds=60, tokens=0, gpu_type="cpu")
    await report_usage(place.system, on_base, gpu_seconds=60)
    on_h100 = await start_job(place.system, customer, gpu_seconds=60, tokens=0, gpu_type="h100-80g")
    await report_usage(place.system, on_h100, gpu_seconds=60)
    lines = [line for line in (await place.draft(customer))["lines"] if line["kind"] == "usage"]
    assert {line["job_id"]: line["unit_price"] for line in lines} == {on_base.id: "6.8", on_h100.id: "17"}
    assert (await read_balance(place.system, customer.contract["id"])).available_gpu_seconds == HOUR - 120
    assert await broken_rules(place.system) == {}


async def test_a_job_that_goes_on_holds_at_the_price_of_its_quote(place: Place, clock: ManualClock) -> None:
    customer = await make_buyer(place.api)
    await place.offer("h100-80g")
    made = await quote(place.api, customer.dataset["id"])
    job = await submit(place.api, customer, made, max_cost="1.00")
    hold = await read_hold(place.system, job["id"])
    assert {str(leg.unit_price.normalize()) for leg in hold.legs if leg.unit == "gpu_seconds"} == {"17"}
    await place.api.post(f"/jobs/{job['id']}/pause")
    clock.advance(minutes=1)
    await place.api.post(f"/jobs/{job['id']}/resume", {"max_cost": "2.00"})
    balance = await read_balance(place.system, customer.contract["id"])
    assert Decimal("1.99") <= balance.held_money.to_decimal() <= 2


async def test_a_job_goes_on_without_a_type_that_nothing_pays_for_any_more(place: Place, clock: ManualClock) -> None:
    """It was refused for good, and its checkpoints lost, while there were hours for the other type."""
    customer = await make_buyer(place.api, plan="prepaid", overage="block")
    contract_id = customer.contract["id"]
    days = {"scope": GrantScope(gpu_type="h100-80g"), "expires_at": clock.now + timedelta(days=1)}
    await add_grant(place.system, contract_id, 10 * HOUR, **days)
    await place.offer("cpu", pool="a")
    await place.offer("h100-80g")
    job = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id)
    assert {each["sku"] for each in job["gpu_types"]} == {"cpu", "h100-80g"}
    await place.api.post(f"/jobs/{job['id']}/pause")
    clock.advance(days=2)
    resumed = await place.api.post(f"/jobs/{job['id']}/resume")
    assert [each["sku"] for each in resumed["gpu_types"]] == ["cpu"]
    on_cpu = next(each for each in job["gpu_types"] if each["sku"] == "cpu")
    held = (await read_balance(place.system, contract_id)).held_gpu_seconds
    assert held == on_cpu["gpu_seconds"]["p90"]
    (told,) = (e for e in (await place.api.get(f"/jobs/{job['id']}/events"))["data"] if e["kind"] == "resumed")
    assert told["data"] == {"left_out": ["h100-80g"]}
    assert await broken_rules(place.system) == {}


async def test_a_quote_lists_the_types_of_pools_each_at_its_price_or_with_why_it_does_not_fit(place: Place) -> None:
    customer = await make_buyer(place.api)
    async with place.system.work() as work:
        for name, sku in (("a", "h100-80g"), ("b", "cpu"), ("c", "H100 SXM")):
            await register_pool(work, name=name, sku=sku)
    made = await quote(place.api, customer.dataset["id"], config={**LONG, "quantization": "4bit"})
    on_h100, on_cpu = made["gpu_types"]
    assert (on_h100["sku"], on_h100["fit"], on_h100["reason"]) == ("h100-80g", "fits", None)
    assert price_on(on_h100, "on_demand")["gpu_hour_price"] == "17"
    assert on_h100["prices"] == made["prices"]
    assert on_h100["gpu_seconds"] == made["estimate"]["gpu_seconds"]
    assert (on_cpu["sku"], on_cpu["fit"], on_cpu["prices"], on_cpu["gpu_hours"]) == ("cpu", "does_not_fit", [], None)
    assert "config.quantization" in on_cpu["reason"]
    assert await place.api.get(f"/quotes/{made['id']}") == made


async def test_a_job_that_does_not_fit_on_the_first_type_is_quoted_on_the_next(place: Place) -> None:
    customer = await make_buyer(place.api)
    async with place.system.work() as work:
        await register_pool(work, name="a", sku="cpu")
        await register_pool(work, name="b", sku="rtx-3090")
    made = await quote(place.api, customer.dataset["id"], config={**LONG, "quantization": "4bit"})
    assert made["estimate"]["sku"] == "rtx-3090"
    assert [each["sku"] for each in made["gpu_types"]] == ["rtx-3090", "cpu"]


async def test_plans_are_compared_for_a_device_type(place: Place) -> None:
    month = (await place.api.get("/plan-comparison", gpu_hours=100, tokens=0, gpu="H100"))["data"]
    assert [Decimal(each["gpu_hour_price"]) for each in month] == [17, 13, 10]
    assert month[0]["total"]["amount"] == "1700.00"
    refused = await place.api.get("/plan-comparison", gpu_hours=1, tokens=0, gpu="voodoo", expect=422)
    assert refused["errors"][0]["field"] == "gpu"


@pytest.mark.parametrize("seed", range(2))
async def test_usage_on_whatever_types_costs_their_prices_and_uses_up_one_hold(place: Place, seed: int) -> None:
    draw = random.Random(seed)
    prices = {"cpu": Fraction("6.8"), "h100-80g": Fraction(17), "rtx-3090": Fraction("5.1")}
    customer = await make_buyer(place.api)
    job = await start_job(place.system, customer, tokens=0)
    exact, used = Fraction(0), 0
    for _ in range(8):
        gpu_type, seconds = draw.choice(list(prices)), draw.randrange(1, HOUR // 4)
        async with place.system.work() as work:
            (await work.session.get_one(Run, job.run_id)).gpu_type = gpu_type
        await report_usage(place.system, job, gpu_seconds=seconds)
        exact, used = exact + prices[gpu_type] * seconds / HOUR, used + seconds
        balance = await read_balance(place.system, customer.contract["id"])
        assert (balance.held_gpu_seconds, balance.used_gpu_seconds) == (max(0, HOUR - used), used)
    (shown,) = (await place.api.get("/jobs"))["data"]
    assert Money.from_decimal(shown["cost"]["amount"]) == Money.from_exact(exact)
    assert await broken_rules(place.system) == {}


async def test_hours_without_a_type_do_not_cover_a_type_with_a_price_of_its_own(place: Place) -> None:
    """A customer with 500 hours was told that none is available, and to buy more of them."""
    customer = await make_buyer(place.api, plan="prepaid")
    await place.offer("h100-80g")
    refused = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id, expect=402)
    assert "buy more hours of h100-80g, which has a price of its own" in refused["detail"]
