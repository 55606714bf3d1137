"""What the house pays for: all that goes beyond a job's cap, in books that still add up."""

import random
from decimal import Decimal

import pytest
from sqlalchemy import select

from broker.ledger.tables import Account, Capture
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import (
    HOUR,
    RunningJob,
    broken_rules,
    is_exhausted,
    read_balance,
    read_hold,
    report_usage,
    settle,
    start_job,
)

SEED = random.randrange(2**32)
COMMITMENTS: dict[str, dict[str, int]] = {"on_demand": {}, "prepaid": {"hours": 500}}


async def list_captures(system: System, job: RunningJob, *, borne: bool) -> list[Capture]:
    async with system.work() as work:
        query = select(Capture).where(Capture.job_id == job.id, Capture.borne == borne)
        return list((await work.session.scalars(query)).all())


async def read_accounts(system: System, contract_id: str, kind: str) -> dict[str, int]:
    async with system.work() as work:
        query = select(Account).where(Account.contract_id == contract_id, Account.kind == kind)
        return {account.unit: account.balance for account in await work.session.scalars(query)}


@pytest.mark.parametrize("plan", ["on_demand", "prepaid"])
async def test_customer_pays_to_the_cap_and_the_house_the_rest_whatever_the_intervals(
    api: Api, system: System, plan: str
) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    cuts = random.Random(SEED)
    customer = await make_ready_customer(api, plan=plan, **COMMITMENTS[plan])
    job = await start_job(system, customer, gpu_seconds=600, tokens=5000, cap_micros=2_340_000)
    used = [(cuts.randrange(200), cuts.randrange(900)) for _ in range(25)]
    for gpu_seconds, tokens in used:
        await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    view = await read_hold(system, job.id)
    assert 0 <= 2_340_000 - view.cost_so_far().micros < 2000
    captured = {borne: await list_captures(system, job, borne=borne) for borne in (False, True)}
    for index, unit in enumerate(("gpu_seconds", "tokens")):
        rows = [row for each in captured.values() for row in each if row.unit == unit]
        assert sum(row.quantity for row in rows) == sum(interval[index] for interval in used)
    prices = {("on_demand"): ("6.8", "0.00012"), "prepaid": ("5.2", "0.00009")}[plan]
    exact = sum(Decimal(gpu) * Decimal(prices[0]) / 3600 + Decimal(text) * Decimal(prices[1]) for gpu, text in used)
    assert abs(view.cost_so_far().micros + view.borne_so_far().micros - exact * 10**6) <= 1
    assert await broken_rules(system) == {}
    await settle(system, job)
    assert await broken_rules(system) == {}


async def test_house_s_units_come_from_its_own_account_and_end_in_its_own(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0, cap_micros=6_800_000)
    await report_usage(system, job, gpu_seconds=3 * HOUR, tokens=1000)
    assert await read_accounts(system, job.contract_id, "borne_issued") == {
        "gpu_seconds": -2 * HOUR,
        "tokens": -1000,
        "micro_yuan": -13_720_000,
    }
    assert await read_accounts(system, job.contract_id, "borne") == {
        "gpu_seconds": 2 * HOUR,
        "tokens": 1000,
        "micro_yuan": 13_720_000,
    }
    balance = await read_balance(system, job.contract_id)
    assert (balance.used_gpu_seconds, balance.used_tokens, balance.used_money.micros) == (HOUR, 0, 6_800_000)
    assert await broken_rules(system) == {}


async def test_house_has_one_leg_a_unit_however_many_intervals(api: Api, system: System) -> None:
    """A run that goes on for an hour past its cap reports 1800 intervals, and every heartbeat reads all legs."""
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, gpu_seconds=1, tokens=0, cap_micros=0)
    for _ in range(7):
        await report_usage(system, job, gpu_seconds=2, tokens=3)
    legs = [leg for leg in (await read_hold(system, job.id)).legs if leg.borne]
    assert sorted((leg.unit, leg.held) for leg in legs) == [
        ("gpu_seconds", 14),
        ("micro_yuan", sum(leg.captured for leg in legs if leg.unit == "micro_yuan")),
        ("tokens", 21),
    ]
    assert await broken_rules(system) == {}


async def test_house_pays_on_where_the_customer_s_grant_and_budget_are_gone(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="0.09")
    job = await start_job(system, customer, gpu_seconds=500 * HOUR, tokens=1000, cap_micros=2_600_090_000)
    await report_usage(system, job, gpu_seconds=500 * HOUR, tokens=1000)
    assert (await read_balance(system, job.contract_id)).available_gpu_seconds == 0
    await report_usage(system, job, gpu_seconds=HOUR, tokens=1000)
    assert not await is_exhausted(system, job)
    assert (await read_hold(system, job.id)).borne_so_far().micros == 5_290_000
    assert await broken_rules(system) == {}


async def test_house_s_part_is_of_the_month_in_which_it_was_used_and_on_no_invoice(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0, cap_micros=6_800_000)
    await report_usage(system, job, gpu_seconds=2 * HOUR)
    clock.advance(days=25)
    await report_usage(system, job, gpu_seconds=HOUR)
    clock.advance(days=31)
    totals = []
    for month in ("2026-11", "2026-12"):
        body = {"contract_id": job.contract_id, "month": month}
        draft = await api.post("/invoices", body, expect=201)
        totals.append((await api.post(f"/invoices/{draft['id']}/finalize"))["total"]["amount"])
    assert totals == ["6.80", "0.00"]
    assert await broken_rules(system) == {}
