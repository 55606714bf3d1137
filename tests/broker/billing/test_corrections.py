"""Closed months: what is taken back of a final invoice, and what came too late for it, are lines of a later one."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from broker.billing.lines.batch import MonthBatch
from broker.billing.lines.corrections import LineMissing, correction_lines
from broker.billing.tables import InvoiceLine
from broker.contracts import service as contracts
from broker.jobs.running.runs import lose_run
from broker.ledger import service as ledger
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import Worker, dispatched_worker

NOVEMBER, DECEMBER = "2026-11", "2026-12"


async def draft(api: Api, customer: Customer, month: str) -> Any:
    return await api.post("/invoices", {"contract_id": customer.contract["id"], "month": month}, expect=201)


async def close(api: Api, customer: Customer, month: str) -> Any:
    return await api.post(f"/invoices/{(await draft(api, customer, month))['id']}/finalize")


async def lose(system: System, worker: Worker) -> None:
    async with system.work() as work:
        await lose_run(work, worker.run_id, "gone")


async def read_figures(api: Api, customer: Customer, month: str) -> dict[str, str]:
    """Read what each place says that the contract's months add to invoices, and what this one does."""
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    report = (await api.get("/reports/monthly-cost", month=month))["data"]
    own = [row for row in report if row["contract_id"] == customer.contract["id"]]
    return {
        "invoice": (await draft(api, customer, month))["total"]["amount"],
        "report": f"{sum(Decimal(row['due']['amount']) for row in own):.2f}",
        "budget": f"{Decimal(balance['monthly_budget']['amount']) - Decimal(balance['budget_left']['amount']):.2f}",
        "all": balance["used_money"]["amount"],
    }


async def test_lost_work_of_a_closed_month_is_taken_back_by_the_next_to_the_fen(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        kept = worker.interval(100, 700)
        kept["data"]["checkpoint_step"] = 5
        await worker.post("heartbeats", usage=[kept, worker.interval(57, 1042)])
        await worker.put("checkpoints/5", b"state")
        clock.advance(days=25)
        november = await close(api, customer, NOVEMBER)
        await worker.post("heartbeats", usage=[worker.interval(10, 100)])
        await lose(system, worker)
    amounts = {line["meter"]: line["amount"]["amount"] for line in november["lines"]}
    assert amounts == {"gpu_seconds": "0.30", "tokens": "0.21"}
    lines = (await draft(api, customer, DECEMBER))["lines"]
    told = [(line["kind"], line["used_month"], line["quantity"], line["amount"]["amount"]) for line in lines]
    assert told == [("correction", NOVEMBER, -57, "-0.11"), ("correction", NOVEMBER, -1042, "-0.13")]
    assert [line["description"] for line in lines] == [
        f"GPU-hours taken back of {november['number']}, line 1, job {job['id']}",
        f"tokens taken back of {november['number']}, line 2, job {job['id']}",
    ]
    await api.post(f"/jobs/{job['id']}/cancel")  # it waited to be trained again, and held money for that
    figures = await read_figures(api, customer, DECEMBER)
    assert figures == {"invoice": "-0.24", "report": "-0.24", "budget": "-0.24", "all": "0.27"}
    assert await broken_rules(system) == {}
    clock.advance(days=31)
    assert (await close(api, customer, DECEMBER))["total"]["amount"] == "-0.24"
    margin = (await api.get("/reports/margin", month=DECEMBER))["data"]
    assert [(row["charged"]["amount"], row["borne"]["amount"]) for row in margin] == [("-0.24", "0.27")]
    assert await broken_rules(system) == {}


async def test_late_usage_says_which_month_it_is_of_and_can_be_taken_back_in_its_turn(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=[worker.interval(100, 700)])
        late = worker.interval(57, 1042)
        clock.advance(days=25)
        november = await close(api, customer, NOVEMBER)
        await worker.post("heartbeats", usage=[late, worker.interval(20, 40)])
        lines = (await draft(api, customer, DECEMBER))["lines"]
        told = [(line["kind"], line["used_month"], line["quantity"], line["amount"]["amount"]) for line in lines]
        assert told == [
            ("usage", DECEMBER, 20, "0.04"),
            ("usage", DECEMBER, 40, "0.00"),
            ("correction", NOVEMBER, 57, "0.11"),
            ("correction", NOVEMBER, 1042, "0.13"),
        ]
        assert lines[2]["description"] == f"GPU-hours of 2026-11, reported late, job {job['id']}"
        await lose(system, worker)
    lines = (await draft(api, customer, DECEMBER))["lines"]
    assert [(line["quantity"], line["amount"]["amount"]) for line in lines] == [(-100, "-0.19"), (-700, "-0.08")]
    assert november["total"]["amount"] == "0.27"
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("over", [False, True])
async def test_hours_of_a_closed_month_come_back_and_of_a_grant_that_is_over_as_a_compensation(
    api: Api, app: FastAPI, system: System, clock: ManualClock, *, over: bool
) -> None:
    ends = "2026-12-03T00:00:00Z" if over else "2027-11-01T00:00:00Z"
    customer = await make_ready_customer(api, plan="prepaid", ends_at=ends)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=[worker.interval(57, 0)])
        clock.advance(days=25)
        await close(api, customer, NOVEMBER)
        await lose(system, worker)
    await api.post(f"/jobs/{job['id']}/cancel")
    lines = (await draft(api, customer, DECEMBER))["lines"]
    told = [(line["kind"], line["quantity"], line["amount"]["amount"]) for line in lines]
    assert told == [("correction", -57, "-0.08"), ("advance", -57, "0.08")]
    async with system.work() as work:
        grants = await contracts.list_grants(work, customer.contract["id"])
        free = {each.terms.kind: each.free for each in await ledger.read_grant_balances(work, grants)}
    if not over:
        assert [(grant.kind, free[grant.kind]) for grant in grants] == [("bought", 500 * 3600)]
    else:
        made = next(grant for grant in grants if grant.kind == "compensation")
        assert (made.quantity, made.expires_at, made.advance) == (57, clock.now + timedelta(days=30), True)
        assert free["compensation"] == 57
    assert await broken_rules(system) == {}


async def test_correction_of_a_line_that_no_invoice_has_says_so(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=[worker.interval(57, 0)])
        clock.advance(days=25)
        await close(api, customer, NOVEMBER)
        await lose(system, worker)
    async with system.work() as work:
        terms = await contracts.get_contract(work, customer.contract["id"])
        await work.session.execute(update(InvoiceLine).values(job_id=None))
        with pytest.raises(LineMissing, match=r"taken back of 2026-11 is on no invoice.*broker ledger verify"):
            await correction_lines(work, MonthBatch(DECEMBER, {terms.id: terms}))
        await work.session.rollback()
