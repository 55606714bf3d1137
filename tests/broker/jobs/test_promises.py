"""A promise holds by whatever door usage comes: budget, limit, cap, refused overage, the contract's end."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from broker.daemon.sweeps import Sweeps
from broker.ledger.tables import Capture
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, amend_contract, dispatch, make_ready_customer, submit_job
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, read_balance, report_usage, start_job
from tests.broker.worker_calls import Worker, dispatched_worker, stop_at_a_checkpoint

NOVEMBER = "2026-11"


async def invoice_total(api: Api, customer: Customer, month: str = NOVEMBER) -> str:
    body = {"contract_id": customer.contract["id"], "month": month}
    return str((await api.post("/invoices", body, expect=201))["total"]["amount"])


async def read_causes(system: System) -> set[str | None]:
    async with system.work() as work:
        return set((await work.session.scalars(select(Capture.cause).where(Capture.borne))).all())


def backlog(worker: Worker, count: int) -> list[dict[str, Any]]:
    return [worker.interval(60, 3000) for _ in range(count)]


async def send_by_event(worker: Worker, usage: list[dict[str, Any]]) -> None:
    headers = {"X-Fence-Token": str(worker.fence_token)}
    await worker.api.call("POST", "/usage-events", expect=202, json=usage, headers=headers)


async def test_budget_ends_a_backlog_in_one_heartbeat_and_what_comes_after_the_stop(
    api: Api, app: FastAPI, system: System
) -> None:
    """Of a budget of 0.85 the invoice asked for 28.40, and for 30.77 after the stop."""
    customer = await make_ready_customer(api, monthly_budget="0.85")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        told = await worker.post("heartbeats", usage=backlog(worker, 60))
        assert (told["command"], told["reason"]) == ("stop", "budget")
        await worker.post("heartbeats", usage=backlog(worker, 5))
        await stop_at_a_checkpoint(worker)
    after = await api.get(f"/jobs/{job['id']}")
    assert (after["status"], after["pause_reason"]) == ("paused", "budget")
    assert await invoice_total(api, customer) == "0.85"
    assert Decimal(after["cost"]["amount"]) <= Decimal("0.85")
    whole = 65 * (Decimal(60) * Decimal("6.8") / 3600 + 3000 * Decimal("0.00012"))
    assert abs(Decimal(after["cost"]["amount"]) + Decimal(after["borne"]["amount"]) - whole) < Decimal("0.000003")
    assert await read_causes(system) == {"over_promise"}
    margin = (await api.get("/reports/margin", month=NOVEMBER))["data"]
    assert [row["borne"]["amount"] for row in margin] == ["29.92"]
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert (balance["used_money"]["amount"], balance["budget_left"]["amount"]) == ("0.85", "0.00")
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("door", ["heartbeat", "finish", "usage-events", "one by one"])
async def test_budget_holds_by_every_door(api: Api, app: FastAPI, system: System, door: str) -> None:
    customer = await make_ready_customer(api, monthly_budget="0.85")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        usage = backlog(worker, 20)
        if door == "heartbeat":
            await worker.post("heartbeats", usage=usage)
        elif door == "finish":
            await worker.finish("succeeded", usage=usage)
        elif door == "usage-events":
            await send_by_event(worker, usage)
        else:
            for interval in usage:
                await send_by_event(worker, [interval])
    assert await invoice_total(api, customer) == "0.85"
    after = await api.get(f"/jobs/{job['id']}")
    assert (after["used_gpu_seconds"], after["used_tokens"]) == (1200, 60_000), "the evidence is whole"
    assert after["cost"]["amount"] == "0.849947", "the same units, by whatever door"
    assert await broken_rules(system) == {}


async def test_jobs_at_once_stay_within_one_budget_together(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, monthly_budget="5.00")
    jobs = [await start_job(system, customer, gpu_seconds=60, tokens=100) for _ in range(6)]

    async def use(job: RunningJob) -> None:
        for _ in range(3):
            await report_usage(system, job, gpu_seconds=700, tokens=999)

    await asyncio.gather(*(use(job) for job in jobs))
    assert await invoice_total(api, customer) == "5.00"
    assert await broken_rules(system) == {}


async def test_hold_of_another_job_is_kept_for_it(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, monthly_budget="10.00")
    greedy = await start_job(system, customer, gpu_seconds=60, tokens=0)
    modest = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    await report_usage(system, greedy, gpu_seconds=9 * HOUR)
    await report_usage(system, modest, gpu_seconds=HOUR)
    balance = await read_balance(system, customer.contract["id"])
    assert balance.used_money.format_amount() == "10.00"
    assert await broken_rules(system) == {}


async def test_budget_of_the_month_that_bills_late_usage_is_asked(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, monthly_budget="7.00")
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    used_at = clock.now
    clock.advance(days=25)
    await api.post("/invoices", {"contract_id": customer.contract["id"], "month": NOVEMBER}, expect=201)
    (draft,) = (await api.get("/invoices"))["data"]
    await api.post(f"/invoices/{draft['id']}/finalize")
    await report_usage(system, job, gpu_seconds=HOUR, ended_at=used_at)
    await report_usage(system, job, gpu_seconds=HOUR)
    assert await invoice_total(api, customer, "2026-12") == "7.00"
    assert await broken_rules(system) == {}


async def test_refused_overage_is_borne(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=HOUR)
    await report_usage(system, job, gpu_seconds=502 * HOUR, tokens=1000)
    balance = await read_balance(system, customer.contract["id"])
    assert (balance.used_gpu_seconds, balance.available_gpu_seconds) == (500 * HOUR, 0)
    assert await invoice_total(api, customer) == "0.09", "the tokens, which no plan sells in advance"
    assert await read_causes(system) == {"over_promise"}
    assert await broken_rules(system) == {}


async def test_usage_after_the_contract_s_end_is_borne_and_stops_the_run(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api, ends_at="2026-11-10T05:00:00Z")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        usage = [worker.interval(3600) for _ in range(2)]
        told = await worker.post("heartbeats", usage=usage)
        assert (told["command"], told["reason"]) == ("stop", "contract_ended")
        await worker.finish("stopped")
    after = await api.get(f"/jobs/{job['id']}")
    assert (after["pause_reason"], after["cost"]["amount"], after["borne"]["amount"]) == (
        "contract_ended",
        "6.80",
        "6.80",
    )
    problem = await api.post(f"/jobs/{job['id']}/resume", expect=409)
    assert problem["type"] == "/problems/no-contract-in-force"
    assert await broken_rules(system) == {}


async def test_job_whose_contract_ends_while_it_waits_leaves_its_queue_and_is_not_started(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It was started, and stopped with its first heartbeat: devices were held for usage that nobody pays."""
    customer = await make_ready_customer(api, ends_at="2026-11-10T05:00:00Z")
    other = await make_ready_customer(api)
    job, going_on = [await submit_job(api, each.dataset["id"], customer_id=each.id) for each in (customer, other)]
    clock.advance(hours=1)
    await Sweeps(system).pause_jobs_of_ended_contracts()
    await dispatch(system, gpus=4)
    after = await api.get(f"/jobs/{job['id']}")
    assert (after["status"], after["pause_reason"]) == ("paused", "contract_ended")
    assert (await api.get(f"/jobs/{going_on['id']}"))["status"] == "dispatched"
    await api.post(f"/jobs/{job['id']}/cancel")
    assert (await read_balance(system, customer.contract["id"])).held_gpu_seconds == 0
    assert await broken_rules(system) == {}


AMENDED = [
    ("on_demand", {"plan": "long_term", "committed_gpu_hours": 2000}, "0.017111"),
    # What the job holds of hours that were paid ahead is not refunded, and pays for it still.
    ("prepaid", {"plan": "on_demand", "committed_gpu_hours": 0, "unused_grants": "refund"}, "0.026444"),
    # The hours that it holds are over when it uses any: these cost what they do then.
    ("prepaid", {"plan": "on_demand", "committed_gpu_hours": 0, "unused_grants": "expire"}, "0.030889"),
]


async def test_amendment_between_submission_and_start_prices_what_is_used_after_it(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    for plan, change, cost in AMENDED:
        customer = await make_ready_customer(api, plan=plan)
        job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
        clock.advance(seconds=10)
        await amend_contract(api, customer.contract["id"], **change)
        async with dispatched_worker(api, app, system, job["id"]) as worker:
            await worker.claim()
            told = await worker.post("heartbeats", usage=[worker.interval(10, 100)])
        assert (told["cost_so_far"]["amount"], plan) == (cost, plan)
    assert await broken_rules(system) == {}


async def test_limit_is_not_exceeded_by_one_long_interval(api: Api, app: FastAPI, system: System) -> None:
    """The interval that reached a limit was charged whole, however long it was."""
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, max_cost="1.00")
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        assert (await worker.post("heartbeats", usage=[worker.interval(3600, 10_000)]))["reason"] == "limit"
        await stop_at_a_checkpoint(worker)
    after = await api.get(f"/jobs/{job['id']}")
    assert Decimal("0.998") < Decimal(after["cost"]["amount"]) <= 1
    assert await invoice_total(api, customer) == "1.00"
    for body in ({}, {"max_cost": "1.00"}):
        problem = await api.post(f"/jobs/{job['id']}/resume", body, expect=402)
        assert problem["errors"] == [{"field": "max_cost", "message": "must be more than 1.00"}]
    assert (await api.post(f"/jobs/{job['id']}/resume", {"max_cost": "2.00"}))["status"] == "queued"
    assert await broken_rules(system) == {}
