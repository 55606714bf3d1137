"""One can buy what it says one can buy: a sum for which a quote shows steps is taken, held, and reached.

A job with `max_cost` 0.50 was refused though its quote said that this buys 14 steps; and one that would pause before
was refused for want of what it could never use.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from broker.ledger.tables import Transfer
from broker.system import System
from tests.broker.factories import CONFIG, Api, Customer, make_ready_customer, submit_job
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, start_job
from tests.broker.worker_calls import dispatched_worker, stop_at_a_checkpoint

LONG = {**CONFIG, "epochs": 500}
SUMS = ("0.000001", "0.004", "0.006", "0.01", "0.02", "0.05", "0.123456", "0.50", "1", "2.005", "7.77", "5000")


async def quote(api: Api, customer: Customer, max_cost: str) -> Any:
    body = {"config": LONG, "dataset_id": customer.dataset["id"], "max_cost": max_cost}
    return await api.post("/quotes", body, expect=201)


async def submit(api: Api, customer: Customer, max_cost: str, *, expect: int = 201, **fields: Any) -> Any:
    fields = {"customer_id": customer.id, "config": LONG, "max_cost": max_cost, **fields}
    return await submit_job(api, customer.dataset["id"], expect=expect, **fields)


async def read_held_price(system: System, customer: Customer) -> Fraction:
    """Price all that is held, paid by an advance or not."""
    balance = await read_balance(system, customer.contract["id"])
    gpu_hour, token = (Fraction(customer.contract[name]) for name in ("gpu_hour_price", "token_price"))
    return gpu_hour * balance.held_gpu_seconds / 3600 + token * balance.held_tokens


@pytest.mark.parametrize("was_named", [True, False])
@pytest.mark.parametrize("guarantee", ["pause", "cap"])
@pytest.mark.parametrize("plan", ["on_demand", "prepaid"])
async def test_what_a_quote_says_a_sum_buys_is_taken_and_held_within_the_sum(
    api: Api, system: System, plan: str, guarantee: str, was_named: bool
) -> None:
    customer = await make_ready_customer(api, plan=plan, quote_guarantee=guarantee)
    for max_cost in SUMS:
        made = await quote(api, customer, max_cost)
        buys = made["max_cost_buys"]["p50"]["steps"] > 0
        fields = {"quote_id": made["id"]} if was_named else {}
        answer = await submit(api, customer, max_cost, expect=201 if buys else 402, **fields)
        held = await read_held_price(system, customer)
        assert held <= Fraction(max_cost), max_cost
        if buys:
            await api.post(f"/jobs/{answer['id']}/cancel")
        else:
            assert (answer["type"], held) == ("/problems/max-cost-exceeded", 0), max_cost
    assert await broken_rules(system) == {}


async def test_sum_that_buys_no_step_is_refused_with_the_least_that_does(api: Api) -> None:
    customer = await make_ready_customer(api)
    problem = await submit(api, customer, "0.000001", expect=402)
    assert problem["errors"][0]["field"] == "max_cost"
    least = problem["errors"][0]["message"].removeprefix("must be at least ").removesuffix(", the price of one step")
    assert (await quote(api, customer, least))["max_cost_buys"]["p50"]["steps"] >= 1
    await submit(api, customer, least)


async def test_job_runs_as_far_as_its_sum_was_said_to_reach_and_pauses_there(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api)
    made = await quote(api, customer, "0.50")
    bought, estimate = made["max_cost_buys"]["p50"]["steps"], made["estimate"]
    assert 1 < bought < estimate["steps"]
    job = await submit(api, customer, "0.50", quote_id=made["id"])

    def used(whole: int, step: int) -> int:
        return whole * step // estimate["steps"] - whole * (step - 1) // estimate["steps"]

    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        for step in range(1, estimate["steps"] + 1):
            usage = worker.interval(used(estimate["gpu_seconds"]["p50"], step), used(estimate["tokens"], step))
            told = await worker.post("heartbeats", usage=[usage])
            if told["command"] == "stop":
                break
        assert (told["command"], told["reason"]) == ("stop", "limit")
        assert bought <= step <= bought + 2
        await worker.finish("stopped")
    assert (await api.get(f"/jobs/{job['id']}"))["pause_reason"] == "limit"
    assert await broken_rules(system) == {}


async def test_job_goes_on_beyond_its_quote_up_to_a_higher_sum_and_its_hold_with_it(
    api: Api, app: FastAPI, system: System
) -> None:
    """A past fault: with a sum of twice its quote a job paused at the quote's p90 all the same."""
    customer = await make_ready_customer(api)
    made = await quote(api, customer, "5000")
    alone = await submit_job(api, customer.dataset["id"], customer_id=customer.id, config=LONG, quote_id=made["id"])
    quoted = Decimal(alone["limit"]["amount"])
    await api.post(f"/jobs/{alone['id']}/cancel")
    job = await submit(api, customer, str(2 * quoted), quote_id=made["id"])
    assert (Decimal(job["limit"]["amount"]), job["limit_gpu_seconds"]) == (2 * quoted, None)
    seconds, tokens = made["estimate"]["gpu_seconds"]["p90"] // 4, made["estimate"]["tokens"] // 4
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        for _ in range(6):
            told = await worker.post("heartbeats", usage=[worker.interval(seconds, tokens)])
            assert told["command"] == "continue"
        beyond = await api.get(f"/jobs/{job['id']}")
        assert Decimal(beyond["cost"]["amount"]) > Decimal("1.4") * quoted
        async with system.work() as work:
            kinds = (await work.session.scalars(select(Transfer.kind))).all()
        assert "hold_extended" in kinds
        assert await broken_rules(system) == {}
        for _ in range(3):
            told = await worker.post("heartbeats", usage=[worker.interval(seconds, tokens)])
        assert (told["command"], told["reason"]) == ("stop", "limit")
        await stop_at_a_checkpoint(worker)
    after = await api.get(f"/jobs/{job['id']}")
    assert (after["status"], after["pause_reason"]) == ("paused", "limit")
    assert 2 * quoted - Decimal("0.01") < Decimal(after["cost"]["amount"]) <= 2 * quoted
    assert await broken_rules(system) == {}


async def test_months_budget_below_the_p90_takes_a_job_whose_sum_is_within(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, monthly_budget="0.50")
    await submit_job(api, customer.dataset["id"], customer_id=customer.id, config=LONG, expect=402)
    await submit(api, customer, "0.50")
    balance = await read_balance(system, customer.contract["id"])
    assert balance.budget_left is not None
    assert balance.held_money.micros + balance.budget_left.micros == 500_000
    problem = await submit(api, customer, "0.50", expect=402)
    assert problem["type"] == "/problems/budget-exceeded", "what is promised to the first is not sold twice"
    assert await broken_rules(system) == {}


async def test_hours_left_below_the_p90_take_a_job_whose_sum_is_within(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    made = await quote(api, customer, "0.50")
    p90, hours = made["estimate"]["gpu_seconds"]["p90"], 500 * HOUR
    left = p90 - 1
    await start_job(system, customer, gpu_seconds=hours - left, tokens=0)
    problem = await submit_job(api, customer.dataset["id"], customer_id=customer.id, config=LONG, expect=402)
    assert problem["type"] == "/problems/insufficient-balance"
    await submit(api, customer, "0.50", quote_id=made["id"])
    balance = await read_balance(system, customer.contract["id"])
    assert hours - left < balance.held_gpu_seconds < hours
    assert await broken_rules(system) == {}
