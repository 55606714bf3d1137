"""Captures: exact whatever the intervals, always booked, in the right month, at the right budget."""

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import (
    HOUR,
    RunningJob,
    add_grant,
    broken_rules,
    is_exhausted,
    read_balance,
    read_hold,
    report_usage,
    settle,
    start_job,
)

SEED = random.randrange(2**32)


COMMITMENTS: dict[str, dict[str, int]] = {
    "on_demand": {},
    "prepaid": {"hours": 500},
    "long_term": {"committed_gpu_hours": 2000},
}


@pytest.mark.parametrize("plan", ["on_demand", "prepaid", "long_term"])
async def test_many_tiny_intervals_cost_what_one_of_their_sum_costs(api: Api, system: System, plan: str) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    customer = await make_ready_customer(api, plan=plan, **COMMITMENTS[plan])
    cuts = random.Random(SEED)
    intervals = [(cuts.randrange(4), cuts.randrange(7)) for _ in range(25)]
    many, one = await start_job(system, customer), await start_job(system, customer)
    for gpu_seconds, tokens in intervals:
        await report_usage(system, many, gpu_seconds=gpu_seconds, tokens=tokens)
    gpu_seconds, tokens = (sum(column) for column in zip(*intervals, strict=True))
    await report_usage(system, one, gpu_seconds=gpu_seconds, tokens=tokens)
    assert await captured_micros(system, many) == await captured_micros(system, one) > 0
    assert (await read_hold(system, many.id)).cost_so_far() == (await read_hold(system, one.id)).cost_so_far()


async def captured_micros(system: System, job: RunningJob) -> int:
    return sum(leg.captured for leg in (await read_hold(system, job.id)).legs if leg.unit == "micro_yuan")


async def test_captured_money_is_the_exact_price_rounded_once(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    for _ in range(7):
        await report_usage(system, job, gpu_seconds=1, tokens=1)
    exact = Fraction(7) * (Fraction("6.8") / 3600 + Fraction("0.00012")) * 1_000_000
    assert await captured_micros(system, job) == round(exact)


async def test_usage_beyond_the_hold_draws_from_the_grant_and_then_from_the_plan(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage="contract")
    job = await start_job(system, customer, gpu_seconds=HOUR)
    await report_usage(system, job, gpu_seconds=501 * HOUR, tokens=1500)
    legs = [(leg.grant_id is not None, leg.billable, leg.captured) for leg in (await read_hold(system, job.id)).legs]
    assert (True, False, HOUR) in legs
    assert (True, False, 499 * HOUR) in legs
    assert (False, True, HOUR) in legs
    assert not await is_exhausted(system, job)
    assert await broken_rules(system) == {}


async def test_job_stops_when_its_grant_is_gone_and_goes_on_after_a_top_up(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=HOUR)
    await report_usage(system, job, gpu_seconds=500 * HOUR)
    assert not await is_exhausted(system, job), "all of it is used, and nothing beyond"
    await report_usage(system, job, gpu_seconds=10)
    assert await is_exhausted(system, job)
    await add_grant(system, customer.contract["id"], HOUR)
    assert not await is_exhausted(system, job)
    await report_usage(system, job, gpu_seconds=20)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == HOUR - 20
    assert await broken_rules(system) == {}


async def test_job_stops_when_the_budget_is_gone_and_goes_on_in_the_next_month(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, monthly_budget="68.00")
    job = await start_job(system, customer, gpu_seconds=10 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=10 * HOUR)
    assert not await is_exhausted(system, job), "the budget is used to the last fen, and nothing beyond"
    await report_usage(system, job, gpu_seconds=1)
    assert await is_exhausted(system, job)
    clock.advance(days=25)
    assert not await is_exhausted(system, job)
    await report_usage(system, job, gpu_seconds=HOUR)
    balance = await read_balance(system, customer.contract["id"])
    assert balance.budget_left is not None
    assert balance.budget_left.micros == 68_000_000 - 6_800_000
    assert await broken_rules(system) == {}


async def test_usage_of_the_new_month_is_paid_from_its_own_budget(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00")
    job = await start_job(system, customer, gpu_seconds=10 * HOUR, tokens=0)
    clock.now = datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC)
    await report_usage(system, job, gpu_seconds=3 * HOUR)
    clock.now = datetime(2026, 11, 30, 16, 0, 0, tzinfo=UTC)  # midnight in Shanghai
    await report_usage(system, job, gpu_seconds=4 * HOUR)
    balance = await read_balance(system, customer.contract["id"])
    assert balance.budget_left is not None
    assert (balance.month, balance.held_money.micros) == ("2026-12", 3 * 6_800_000)
    assert balance.budget_left.micros == 100_000_000 - (4 + 3) * 6_800_000
    await settle(system, job)
    after = (await read_balance(system, customer.contract["id"])).budget_left
    assert after is not None
    assert after.micros == 100_000_000 - 4 * 6_800_000
    assert await broken_rules(system) == {}


async def test_interval_of_a_clock_that_runs_ahead_counts_in_the_present_month(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    clock.now = datetime(2026, 11, 30, 15, 59, 50, tzinfo=UTC)  # ten seconds before midnight in Shanghai
    job = await start_job(system, customer)
    await report_usage(system, job, gpu_seconds=36, ended_at=clock.now + timedelta(seconds=20))
    invoice = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    assert invoice["total"]["amount"] == "0.07"
