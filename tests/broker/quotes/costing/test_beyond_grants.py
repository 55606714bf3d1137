"""Overage that costs the on-demand price is in the quote from where the grants end, and in the hold and the invoice."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, Customer, amend_contract, make_ready_customer, submit_job
from tests.broker.running_jobs import HOUR, broken_rules, read_hold

LONG = {**CONFIG, "epochs": 500}
PREPAID, ON_DEMAND = Fraction("5.2"), Fraction("6.8")


async def make_buyer(api: Api, *, left: int, overage: str = "on_demand") -> Customer:
    """Make a customer whose prepaid grant has so many GPU-seconds left."""
    customer = await make_ready_customer(api, plan="prepaid", overage=overage)
    (grant,) = (await api.get("/grants"))["data"]
    change = {"kind": "grant", "grant_id": grant["id"], "quantity": left - 500 * HOUR, "reason": "Agreed by phone"}
    await api.post("/adjustments", change, expect=201)
    return customer


async def quote(api: Api, customer: Customer) -> tuple[Any, Any]:
    """Make a quote; returns it with its price on the customer's plan."""
    made = await api.post("/quotes", {"config": LONG, "dataset_id": customer.dataset["id"]}, expect=201)
    (price,) = (price for price in made["prices"] if price["plan"] == "prepaid")
    return made, price


def price_gpu(seconds: int, *, covered: int) -> str:
    within = min(seconds, covered)
    lines = (within * PREPAID / 3600, (seconds - within) * ON_DEMAND / 3600)
    return f"{sum(round(line * 100) for line in lines) / 100:.2f}"


async def test_hours_beyond_the_grants_are_quoted_at_their_own_price(api: Api) -> None:
    customer = await make_buyer(api, left=100)
    made, price = await quote(api, customer)
    seconds = made["estimate"]["gpu_seconds"]
    assert seconds["p50"] > 100, "the grants cover a part of the job"
    assert (price["gpu_hour_price"], price["overage_gpu_hour_price"], price["covered_gpu_seconds"]) == (
        "5.2",
        "6.8",
        100,
    )
    covered = {"meter": "gpu_seconds", "quantity": 100, "unit_price": "5.2"}
    assert price["covered_by_grants"] == [covered]
    assert price["gpu_cost"]["amount"] == price_gpu(seconds["p50"], covered=100)
    assert price["gpu_cost_p90"]["amount"] == price_gpu(seconds["p90"], covered=100)
    assert (await api.get(f"/quotes/{made['id']}"))["prices"] == made["prices"], "as it was kept"


async def test_job_that_the_grants_cover_and_overage_at_the_plans_price_are_quoted_by_the_plan(api: Api) -> None:
    customer = await make_buyer(api, left=400 * HOUR)
    made, price = await quote(api, customer)
    assert price["gpu_cost_p90"]["amount"] == price_gpu(made["estimate"]["gpu_seconds"]["p90"], covered=400 * HOUR)
    other = await make_ready_customer(api, plan="prepaid", overage="contract")
    _, price = await quote(api, other)
    assert (price["overage_gpu_hour_price"], price["covered_gpu_seconds"]) == (None, None)


async def test_hold_is_priced_as_the_quote_and_a_changed_overage_makes_the_quote_stale(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_buyer(api, left=100)
    made, _ = await quote(api, customer)
    order = {"customer_id": customer.id, "quote_id": made["id"], "config": LONG}
    job = await submit_job(api, customer.dataset["id"], **order)
    hold = await read_hold(system, job["id"])
    needed = made["estimate"]["gpu_seconds"]["p90"]
    assert [(leg.held, leg.unit_price) for leg in hold.legs if leg.unit == "gpu_seconds"] == [
        (100, Decimal("5.2")),
        (needed - 100, Decimal("6.8")),
    ]
    clock.advance(minutes=1)
    await amend_contract(api, customer.contract["id"], overage="contract")
    problem = await submit_job(api, customer.dataset["id"], expect=409, **order)
    assert problem["type"] == "/problems/quote-stale"
    assert "6.8 beyond the grants" in problem["detail"]
    assert await broken_rules(system) == {}


async def test_quote_is_stale_where_grants_cover_less_than_it_shows_and_holds_where_they_cover_more(
    api: Api, system: System
) -> None:
    customer = await make_buyer(api, left=400)
    made, price = await quote(api, customer)
    order = {"customer_id": customer.id, "quote_id": made["id"], "config": LONG}
    first = await submit_job(api, customer.dataset["id"], **order)
    problem = await submit_job(api, customer.dataset["id"], expect=409, **order)
    assert problem["type"] == "/problems/quote-stale"
    assert price["total_p90"]["amount"] in problem["detail"]
    assert "grants cover less" in problem["errors"][0]["message"]
    await api.post(f"/jobs/{first['id']}/cancel")
    gift = {"contract_id": customer.contract["id"], "kind": "promotional", "gpu_hours": 100, "reason": "A present"}
    await api.post("/grants", gift, expect=201)
    await submit_job(api, customer.dataset["id"], **order)
    assert await broken_rules(system) == {}


async def test_sum_buys_hours_of_grants_at_their_price_and_beyond_them_at_the_overages(
    api: Api, system: System
) -> None:
    customer = await make_buyer(api, left=100)
    sum_of_it = Fraction("0.50")
    body = {"config": LONG, "dataset_id": customer.dataset["id"], "max_cost": "0.50"}
    made = await api.post("/quotes", body, expect=201)
    p50, steps = made["estimate"]["gpu_seconds"]["p50"], made["estimate"]["steps"]
    bought = made["max_cost_buys"]["p50"]["steps"]

    def cost(step: int) -> Fraction:
        seconds, tokens = Fraction(p50 * step, steps), Fraction(made["estimate"]["tokens"] * step, steps)
        return (
            min(seconds, 100) * PREPAID / 3600 + max(seconds - 100, 0) * ON_DEMAND / 3600 + tokens * Fraction("0.00009")
        )

    assert cost(bought) <= sum_of_it < cost(bought + 1) + Fraction("0.02"), "to the fen of three lines"
    order = {"customer_id": customer.id, "quote_id": made["id"], "config": LONG, "max_cost": "0.50"}
    job = await submit_job(api, customer.dataset["id"], **order)
    hold = await read_hold(system, job["id"])
    held = sum(
        Fraction(leg.unit_price) * leg.held / (3600 if leg.unit == "gpu_seconds" else 1)
        for leg in hold.legs
        if leg.unit_price is not None
    )
    assert sum_of_it - Fraction("0.03") < held <= sum_of_it


async def test_grant_of_a_project_is_in_the_quote_of_its_jobs_alone(api: Api) -> None:
    customer = await make_buyer(api, left=100)
    project = await api.post("/projects", {"customer_id": customer.id, "name": "tea"}, expect=201)
    gift = {"contract_id": customer.contract["id"], "kind": "promotional", "gpu_hours": 1, "reason": "A present"}
    await api.post("/grants", gift | {"scope": {"project_id": project["id"]}}, expect=201)
    body = {"config": LONG, "dataset_id": customer.dataset["id"]}
    covered = {}
    for named in (None, project["id"]):
        made = await api.post("/quotes", body | {"project_id": named}, expect=201)
        (price,) = (price for price in made["prices"] if price["plan"] == "prepaid")
        covered[named] = [units["quantity"] for units in price["covered_by_grants"]]
        order = {"customer_id": customer.id, "quote_id": made["id"], "config": LONG, "project_id": named}
    assert covered == {None: [100], project["id"]: [HOUR, 100]}, "the narrowest first"
    await submit_job(api, customer.dataset["id"], **order)
    other = await make_ready_customer(api)
    theirs = await api.post("/projects", {"customer_id": other.id, "name": "tea"}, expect=201)
    await api.post("/quotes", body | {"project_id": theirs["id"]}, expect=404)
    batch = {"configs": [LONG], "dataset_id": customer.dataset["id"], "project_id": theirs["id"]}
    await api.post("/quotes/batch", batch, expect=404)
