"""One figure for one thing: the invoice, the balance, the budget left and the cost report say the same amount."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from broker.jobs.tables import Job
from broker.system import System
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, report_usage, settle, start_job

NOVEMBER = "2026-11"


async def use(system: System, customer: Customer, gpu_seconds: int, tokens: int, **fields: Any) -> RunningJob:
    job = await start_job(system, customer, gpu_seconds=gpu_seconds, tokens=tokens, **fields)
    await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    await settle(system, job)
    return job


async def draft(api: Api, customer: Customer) -> Any:
    return await api.post("/invoices", {"contract_id": customer.contract["id"], "month": NOVEMBER}, expect=201)


async def read_figures(api: Api, customer: Customer) -> dict[str, str]:
    """Read what each place says that the month adds to invoices."""
    invoice = await draft(api, customer)
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    rows = [
        row
        for row in (await api.get("/reports/monthly-cost", month=NOVEMBER))["data"]
        if row["contract_id"] == customer.contract["id"]
    ]
    budget = Decimal(balance["monthly_budget"]["amount"]) - Decimal(balance["budget_left"]["amount"])
    lines = sum(Decimal(line["amount"]["amount"]) for line in invoice["lines"])
    return {
        "invoice": invoice["total"]["amount"],
        "its lines": f"{lines:.2f}",
        "balance": balance["used_money"]["amount"],
        "budget": f"{budget:.2f}",
        "report": f"{sum(Decimal(row['due']['amount']) for row in rows):.2f}",
    }


async def test_forty_small_jobs_are_invoiced_what_they_cost_together(api: Api, system: System) -> None:
    """Their 0.2052 was invoiced as 0.40, each line rounded up by itself; the budget had counted 0.2052."""
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="10.00")
    for _ in range(40):
        await use(system, customer, 0, 57)
    assert set((await read_figures(api, customer)).values()) == {"0.21"}
    lines = (await draft(api, customer))["lines"]
    assert sorted(line["amount"]["amount"] for line in lines) == ["0.00"] * 19 + ["0.01"] * 21
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("plan", ["on_demand", "prepaid", "long_term"])
async def test_every_place_says_the_same_amount(api: Api, system: System, plan: str) -> None:
    hours = {"on_demand": {}, "prepaid": {"hours": 500}, "long_term": {"committed_gpu_hours": 2000}}[plan]
    customer = await make_ready_customer(api, plan=plan, monthly_budget="100.00", **hours)
    for gpu_seconds, tokens in ((7, 41), (13, 57), (1, 1), (95, 12_841), (3, 250)):
        await use(system, customer, gpu_seconds, tokens)
    figures = await read_figures(api, customer)
    assert len(set(figures.values())) == 1, figures
    assert await broken_rules(system) == {}


async def test_usage_of_one_job_in_many_parts_is_invoiced_as_in_one(api: Api, system: System) -> None:
    invoices = []
    for parts in (1, 7):
        customer = await make_ready_customer(api)
        await use(system, customer, 11, 57)
        job = await start_job(system, customer)
        for _ in range(parts):
            await report_usage(system, job, gpu_seconds=7 * 91 // parts, tokens=7 * 13 // parts)
        invoices.append([line["amount"] for line in (await draft(api, customer))["lines"]])
    assert invoices[0] == invoices[1]


async def test_advance_is_taken_off_to_the_fen_line_by_line(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    for gpu_seconds in (3, 4, 5, 6):
        await use(system, customer, gpu_seconds, 0)
    invoice = await draft(api, customer)
    used = sum(Decimal(line["amount"]["amount"]) for line in invoice["lines"] if line["kind"] == "usage")
    assert (invoice["total"]["amount"], used) == ("0.00", Decimal("0.03")), "18 s at 5.2 an hour are 0.026"


@pytest.mark.parametrize("jobs", [2, 5])
async def test_no_fen_lifts_a_capped_job_above_its_cap(api: Api, system: System, jobs: int) -> None:
    """Each job's exact price is just within its cap; the segments of all round up where one by one they would not."""
    customer = await make_ready_customer(api, quote_guarantee="cap")
    capped = [
        await start_job(system, customer, gpu_seconds=30, tokens=400, quote_guarantee="cap", cap_micros=60_000)
        for _ in range(jobs)
    ]
    for number, job in enumerate(capped):
        for _ in range(3):
            await report_usage(system, job, gpu_seconds=9 + number, tokens=125)
    lines = (await draft(api, customer))["lines"]
    for job in capped:
        amounts = [Decimal(line["amount"]["amount"]) for line in lines if line["job_id"] == job.id]
        assert sum(amounts) <= Decimal("0.06")
        async with system.work() as work:
            cost = Fraction((await work.session.get_one(Job, job.id)).cost_micros, 10**6)
        assert Fraction("0.06") - cost < Fraction("0.02"), "and it pays for all but a fen a line"
    assert await broken_rules(system) == {}


async def test_budget_is_used_to_the_fen_by_rounded_amounts(api: Api, system: System) -> None:
    """Two segments at half a fen each round up: of a budget of 0.03 the invoice asked for 0.04."""
    customer = await make_ready_customer(api, monthly_budget="0.03")
    job = await start_job(system, customer, gpu_seconds=1, tokens=1)
    await report_usage(system, job, gpu_seconds=8, tokens=125)
    await report_usage(system, job, gpu_seconds=HOUR, tokens=1000)
    assert Decimal((await draft(api, customer))["total"]["amount"]) <= Decimal("0.03")
    assert await broken_rules(system) == {}


async def test_money_for_a_new_job_is_what_the_balance_says_is_left(api: Api, system: System) -> None:
    """Used for 0.01026, invoiced 0.01: the budget left is 9.99, and 9.99 can be held."""
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="10.00")
    for _ in range(2):
        await use(system, customer, 0, 57)
    assert set((await read_figures(api, customer)).values()) == {"0.01"}
    await start_job(system, customer, gpu_seconds=0, tokens=111_000)
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert Decimal(balance["budget_left"]["amount"]) < Decimal("0.001")
    assert await broken_rules(system) == {}
