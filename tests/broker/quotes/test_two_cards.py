"""A second card at half the price is in force: quote, limit, cap, hold, capture and invoice all ask the contract's.

They asked different ones: a quote showed 0.40 by the new card, its job's limit was 0.81, and a cap cost the house 0.31.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    make_customer,
    make_ready_customer,
    sign_contract,
    sign_prepaid,
    submit_job,
    upload_dataset,
)
from tests.broker.running_jobs import broken_rules, read_balance
from tests.broker.worker_calls import Worker, dispatched_worker

LONG = {**CONFIG, "epochs": 500}  # a price of whole yuan, so that half of it is not hidden by a rounding
AFTER_THE_CHANGE = "2026-11-10T04:00:00Z"


@dataclass
class Place:
    """Where a test's job runs."""

    api: Api
    app: FastAPI
    system: System

    @asynccontextmanager
    async def running(self, job_id: str) -> AsyncIterator[Worker]:
        async with dispatched_worker(self.api, self.app, self.system, job_id) as worker:
            await worker.claim()
            yield worker


@pytest.fixture
def place(api: Api, app: FastAPI, system: System) -> Place:
    return Place(api, app, system)


async def quote(api: Api, dataset_id: str, *, expect: int = 201, **fields: Any) -> Any:
    return await api.post("/quotes", {"config": LONG, "dataset_id": dataset_id, **fields}, expect=expect)


def price_on(made: Any, plan: str) -> Any:
    (price,) = (price for price in made["prices"] if price["plan"] == plan)
    return price


async def submit(api: Api, customer: Customer, made: Any, *, expect: int = 201, **fields: Any) -> Any:
    fields = {"customer_id": customer.id, "quote_id": made["id"], "config": LONG, **fields}
    return await submit_job(api, customer.dataset["id"], expect=expect, **fields)


@pytest.mark.parametrize("plan", ["on_demand", "prepaid", "long_term"])
@pytest.mark.parametrize("guarantee", ["pause", "cap"])
async def test_job_is_held_to_the_price_of_its_quote_down_to_the_invoice(
    place: Place, plan: str, guarantee: str
) -> None:
    hours = {"on_demand": 0, "prepaid": 500, "long_term": 2000}[plan]
    terms = {"quote_guarantee": guarantee} | ({"committed_gpu_hours": hours} if plan == "long_term" else {})
    customer = await make_ready_customer(place.api, plan=plan, **terms)
    made = await quote(place.api, customer.dataset["id"])
    shown = price_on(made, plan)
    assert shown["contract_id"] == customer.contract["id"]
    job = await submit(place.api, customer, made)
    promised = job["cap"] if guarantee == "cap" else job["limit"]
    assert abs(Decimal(promised["amount"]) - Decimal(shown["total_p90"]["amount"])) <= Decimal("0.01")
    seconds, tokens = made["estimate"]["gpu_seconds"]["p90"], made["estimate"]["tokens"]
    async with place.running(job["id"]) as worker:
        await worker.post("heartbeats", usage=[worker.interval(seconds, tokens)])
        await worker.finish("succeeded", expect=200)
    body = {"contract_id": customer.contract["id"], "month": "2026-11"}
    lines = (await place.api.post("/invoices", body, expect=201))["lines"]
    invoiced = sum(Decimal(line["amount"]["amount"]) for line in lines if line["kind"] == "usage")
    assert abs(invoiced - Decimal(shown["total_p90"]["amount"])) <= Decimal("0.01"), "a cap may cut the last second"
    assert {line["rate_card_version"] for line in lines} == {"2026-01-01"}
    (after,) = (await place.api.get("/jobs"))["data"]
    assert Decimal(after["borne"]["amount"]) < Decimal("0.01")
    assert await broken_rules(place.system) == {}


async def test_hold_is_priced_as_the_quote(place: Place) -> None:
    customer = await make_ready_customer(place.api)
    made = await quote(place.api, customer.dataset["id"])
    await submit(place.api, customer, made)
    held = (await read_balance(place.system, customer.contract["id"])).held_money
    assert abs(held.to_decimal() - Decimal(price_on(made, "on_demand")["total_p90"]["amount"])) <= Decimal("0.01")


async def test_quote_from_before_a_card_change_binds_after_it(place: Place, clock: ManualClock) -> None:
    clock.now = datetime(2026, 11, 4, 15, 59, tzinfo=UTC)  # the last minute of the first card, in Shanghai
    customer = await make_ready_customer(place.api)
    made = await quote(place.api, customer.dataset["id"])
    clock.advance(minutes=1)
    job = await submit(place.api, customer, made)
    again = await quote(place.api, customer.dataset["id"])
    assert price_on(again, "on_demand") == price_on(made, "on_demand")
    assert job["limit_gpu_seconds"] == made["estimate"]["gpu_seconds"]["p90"]
    assert Decimal(price_on(again, "prepaid")["gpu_hour_price"]) * 2 == Decimal(
        price_on(made, "prepaid")["gpu_hour_price"]
    )


async def test_card_of_a_day_begins_at_midnight_of_the_contracts_zone(api: Api, clock: ManualClock) -> None:
    """The quote took the day of UTC: for eight hours of every day it showed another card than signing gave."""
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"])
    for moment, version in (
        (datetime(2026, 11, 4, 15, 59, 59, tzinfo=UTC), "2026-01-01"),
        (datetime(2026, 11, 4, 16, 0, tzinfo=UTC), "half"),
    ):
        clock.now = moment
        made = await quote(api, dataset["id"])
        month = await api.get("/plan-comparison", gpu_hours=1, tokens=1)
        ends = moment + timedelta(seconds=1)
        signed = await sign_contract(api, customer["id"], starts_at=moment.isoformat(), ends_at=ends.isoformat())
        seen = {made["rate_card_version"], month["rate_card_version"], signed["rate_card_version"]}
        seen |= {price["rate_card_version"] for price in [*made["prices"], *month["data"]]}
        assert seen == {version}, moment


async def test_quote_without_a_contract_shows_what_signing_gives_and_is_stale_under_another_price(
    place: Place,
) -> None:
    made_for = await make_customer(place.api)
    dataset = await upload_dataset(place.api, made_for["id"])
    made = await quote(place.api, dataset["id"])
    assert [(price["contract_id"], price["rate_card_version"]) for price in made["prices"]] == [(None, "half")] * 3
    dear = await sign_contract(place.api, made_for["id"])
    customer = Customer(made_for["id"], dear, dataset)
    problem = await submit(place.api, customer, made, expect=409)
    assert (problem["type"], problem["errors"][0]["field"]) == ("/problems/quote-stale", "quote_id")
    assert "3.4 per GPU-hour" in problem["detail"]
    assert "charges 6.8" in problem["detail"]
    assert (await place.api.get("/jobs"))["data"] == [], "what was refused has changed nothing"
    assert (await read_balance(place.system, dear["id"])).held_money.micros == 0
    cheap = await sign_contract(place.api, made_for["id"], starts_at=AFTER_THE_CHANGE)
    job = await submit(place.api, customer, made, contract_id=cheap["id"])
    total = Decimal(price_on(made, "on_demand")["total_p90"]["amount"])
    assert abs(Decimal(job["limit"]["amount"]) - total) <= Decimal("0.01")


async def test_of_two_contracts_on_a_plan_the_one_named_is_quoted_and_held_to(api: Api) -> None:
    customer = await make_ready_customer(api)
    cheap = await sign_contract(api, customer.id, starts_at=AFTER_THE_CHANGE)
    unnamed = await quote(api, customer.dataset["id"])
    assert price_on(unnamed, "on_demand")["contract_id"] is None
    limits = []
    for contract, other in ((customer.contract, cheap), (cheap, customer.contract)):
        made = await quote(api, customer.dataset["id"], contract_id=contract["id"])
        shown = price_on(made, "on_demand")
        assert (shown["contract_id"], shown["gpu_hour_price"]) == (contract["id"], contract["gpu_hour_price"])
        await submit(api, customer, made, contract_id=other["id"], expect=409)
        job = await submit(api, customer, made, contract_id=contract["id"])
        assert abs(Decimal(job["limit"]["amount"]) - Decimal(shown["total_p90"]["amount"])) <= Decimal("0.01")
        limits.append(Fraction(job["limit"]["amount"]))
    assert abs(limits[0] - 2 * limits[1]) <= Fraction(1, 100), "the one may be rounded up to the fen that was shown"


async def test_contracts_on_different_plans_each_speak_for_their_own(api: Api) -> None:
    customer = await make_ready_customer(api)
    prepaid = await sign_prepaid(api, customer.id)
    made = await quote(api, customer.dataset["id"])
    assert [(price["contract_id"], price["gpu_hour_price"]) for price in made["prices"]] == [
        (customer.contract["id"], "6.8"),
        (prepaid["id"], "5.2"),
        (None, "2"),
    ]
    job = await submit(api, customer, made, contract_id=prepaid["id"])
    assert job["contract_id"] == prepaid["id"]


async def test_contract_that_has_not_begun_or_has_ended_prices_nothing(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, starts_at="2026-11-11T00:00:00Z", ends_at="2026-11-12T00:00:00Z")
    before = await quote(api, customer.dataset["id"])
    assert price_on(before, "on_demand")["contract_id"] is None
    problem = await quote(api, customer.dataset["id"], contract_id=customer.contract["id"], expect=409)
    assert problem["type"] == "/problems/no-contract-in-force"
    clock.advance(hours=20)
    within = await quote(api, customer.dataset["id"])
    assert price_on(within, "on_demand")["contract_id"] == customer.contract["id"]
    clock.advance(hours=24)
    assert price_on(await quote(api, customer.dataset["id"]), "on_demand")["contract_id"] is None


async def test_contract_of_another_customer_is_not_quoted_under(api: Api) -> None:
    customer, other = await make_ready_customer(api), await make_ready_customer(api)
    await quote(api, customer.dataset["id"], contract_id=other.contract["id"], expect=404)
    async with customer_api(api, customer.id) as own:
        await quote(own, customer.dataset["id"], contract_id=other.contract["id"], expect=404)
        params = {"gpu_hours": 1, "tokens": 1, "contract_id": other.contract["id"]}
        await own.get("/plan-comparison", expect=404, **params)


async def test_plan_comparison_agrees_with_the_quote(api: Api) -> None:
    customer = await make_ready_customer(api)
    work = {"gpu_hours": 30, "tokens": 50_000, "runs": 20}
    async with customer_api(api, customer.id) as own:
        month, made = await own.get("/plan-comparison", **work), await quote(own, customer.dataset["id"])
    assert [row["total"]["amount"] for row in month["data"]] == ["4200.00", "1605.00", "1230.00"]
    asked = ("plan", "gpu_hour_price", "token_price", "rate_card_version", "contract_id")
    assert [[row[name] for name in asked] for row in month["data"]] == [
        [price[name] for name in asked] for price in made["prices"]
    ]
    assert (await api.get("/plan-comparison", contract_id=customer.contract["id"], **work)) == month
    assert (await api.get("/plan-comparison", **work))["data"][0]["total"]["amount"] == "2100.00"


async def test_many_settings_at_once_are_quoted_under_the_contract_that_is_named(api: Api) -> None:
    customer = await make_ready_customer(api)
    cheap = await sign_contract(api, customer.id, starts_at=AFTER_THE_CHANGE)
    body = {"configs": [CONFIG, LONG], "dataset_id": customer.dataset["id"], "contract_id": cheap["id"]}
    for answer in (await api.post("/quotes/batch", body))["data"]:
        assert price_on(answer["quote"], "on_demand")["contract_id"] == cheap["id"]


async def test_job_without_a_quote_is_capped_at_its_contracts_price(place: Place) -> None:
    """A cap by the new card cost the house 0.31 of 0.71."""
    customer = await make_ready_customer(place.api, quote_guarantee="cap")
    job = await submit_job(place.api, customer.dataset["id"], customer_id=customer.id, config=LONG)
    seconds, tokens = job["estimate"]["gpu_seconds"]["p90"], job["estimate"]["tokens"]
    exact = Fraction("6.8") * seconds / 3600 + Fraction("0.00012") * tokens
    assert abs(Fraction(job["cap"]["amount"]) - exact) <= Fraction(1, 100)
