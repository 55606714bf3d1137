"""In whatever order an amendment, usage, late usage and a close come: all is billed once, by the plan of its moment."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, amend_contract, make_ready_customer
from tests.broker.running_jobs import broken_rules, report_usage, start_job

SEED = random.randrange(2**32)
SPAN = 600
# Usage that ends at these days after the start, before and after the change of the plan and the end of the month.
MOMENTS = [START + timedelta(days=day) for day in (0, 3, 9, 10, 11, 20, 21, 25, 30)]
EFFECTIVE_AT = START + timedelta(days=10)
BILLED = Counter({"6.8": 3 * SPAN, "4": 6 * SPAN})
MONTHS = ("2026-11", "2026-12")
DECEMBER = datetime(2026, 11, 30, 16, tzinfo=UTC)


async def read_draft(api: Api, contract_id: str, month: str) -> list[tuple[str, int]]:
    invoice = await api.post("/invoices", {"contract_id": contract_id, "month": month}, expect=201)
    return sorted((line["unit_price"], line["quantity"]) for line in invoice["lines"])


async def close(api: Api, contract_id: str, month: str) -> list[tuple[str, int]]:
    """Make a month's invoice final; what it bills."""
    draft = await read_draft(api, contract_id, month)
    [invoice] = (await api.get("/invoices", contract_id=contract_id, month=month))["data"]
    await api.post(f"/invoices/{invoice['id']}/finalize")
    return draft


async def amend_and_use(
    api: Api, system: System, clock: ManualClock, order: list[int], *, closes_before: int | None
) -> list[list[tuple[str, int]]]:
    """Report usage of several jobs in an order under a contract whose plan changes; what each month bills of it.

    November is closed before so many of the reports have come, where it is.
    """
    clock.now = START
    customer = await make_ready_customer(api)
    contract = customer.contract["id"]
    jobs = [await start_job(system, customer, gpu_seconds=2 * SPAN, tokens=0) for _ in MOMENTS]
    changes = {"plan": "long_term", "committed_gpu_hours": 2000, "effective_at": EFFECTIVE_AT.isoformat()}
    await amend_contract(api, contract, **changes)
    clock.now = MOMENTS[-1] + timedelta(seconds=SPAN)
    november: list[tuple[str, int]] | None = None
    for position, index in enumerate(order):
        if position == closes_before:
            november = await close(api, contract, MONTHS[0])
        await report_usage(system, jobs[index], gpu_seconds=SPAN, ended_at=MOMENTS[index])
    assert await broken_rules(system) == {}
    november = await read_draft(api, contract, MONTHS[0]) if november is None else november
    return [november, await read_draft(api, contract, MONTHS[1])]


def count_units(months: list[list[tuple[str, int]]]) -> Counter[Any]:
    billed: Counter[Any] = Counter()
    for price, quantity in [line for month in months for line in month]:
        billed[price] += quantity
    return billed


async def test_usage_is_billed_by_the_plan_of_its_moment_in_whatever_order_it_comes(
    api: Api, system: System, clock: ManualClock
) -> None:
    drawn = random.Random(SEED)
    orders = [list(range(len(MOMENTS))), *(drawn.sample(range(len(MOMENTS)), len(MOMENTS)) for _ in range(2))]
    told = [await amend_and_use(api, system, clock, order, closes_before=None) for order in orders]
    assert count_units(told[0]) == BILLED, SEED
    assert told[1] == told[0], SEED
    assert told[2] == told[0], SEED


@pytest.mark.parametrize("closes_before", [0, 4, 8])
async def test_what_comes_after_the_close_is_billed_by_the_next_month_at_the_price_of_its_moment(
    api: Api, system: System, clock: ManualClock, closes_before: int
) -> None:
    order = random.Random(SEED + closes_before).sample(range(len(MOMENTS)), len(MOMENTS))
    months = await amend_and_use(api, system, clock, order, closes_before=closes_before)
    assert count_units(months) == BILLED, (SEED, order)
    in_time = sum(MOMENTS[index] < DECEMBER for index in order[:closes_before])
    assert sum(quantity for _price, quantity in months[0]) == in_time * SPAN, (SEED, order)


async def test_amendment_of_the_next_month_waits_while_the_last_one_is_closed(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    contract = customer.contract["id"]
    await amend_contract(api, contract, monthly_budget="6.80", effective_at=DECEMBER.isoformat())
    job = await start_job(system, customer, gpu_seconds=3600, tokens=0)
    for moment in (START, DECEMBER + timedelta(days=1)):
        clock.now = moment
        await report_usage(system, job, gpu_seconds=7200)
    assert await close(api, contract, MONTHS[0]) == [("6.8", 7200)]
    assert await read_draft(api, contract, MONTHS[1]) == [("6.8", 3600)]
    assert await broken_rules(system) == {}
