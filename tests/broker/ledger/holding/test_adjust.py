"""Adjusting a hold: exactly what is left, from the right grants, or nothing changes."""

import pytest

from broker import errors
from broker.ledger import service as ledger
from broker.ledger.holding.holds import HoldView
from broker.system import System
from pricing.usage import Usage
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import (
    HOUR,
    RunningJob,
    add_grant,
    broken_rules,
    read_balance,
    read_hold,
    report_usage,
    start_job,
)


async def adjust(system: System, job: RunningJob, *, gpu_seconds: int, tokens: int) -> HoldView:
    async with system.work() as work:
        return await ledger.adjust_hold(work, job.id, needs={None: Usage(gpu_seconds, tokens)})


@pytest.mark.parametrize("plan", ["on_demand", "prepaid"])
@pytest.mark.parametrize(
    ("gpu_seconds", "tokens"), [(0, 0), (1, 0), (HOUR - 600, 900), (HOUR, 500), (3 * HOUR, 100), (3 * HOUR, 5000)]
)
async def test_hold_is_what_is_left_and_the_money_for_it(
    api: Api, system: System, plan: str, gpu_seconds: int, tokens: int
) -> None:
    customer = await make_ready_customer(api, plan=plan)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=1000)
    await report_usage(system, job, gpu_seconds=601, tokens=101)
    await adjust(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    balance = await read_balance(system, job.contract_id)
    assert (balance.held_gpu_seconds, balance.held_tokens) == (gpu_seconds, tokens)
    per_hour, per_token = (6_800_000, 120) if plan == "on_demand" else (0, 90)
    assert abs(balance.held_money.micros - (gpu_seconds * per_hour / 3600 + tokens * per_token)) <= 2
    if plan == "prepaid":
        assert balance.available_gpu_seconds == 500 * HOUR - 601 - gpu_seconds
    assert await broken_rules(system) == {}
    await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    after = await read_balance(system, job.contract_id)
    assert (after.held_gpu_seconds, after.held_tokens) == (0, 0)
    assert after.held_money.micros <= 1
    assert await broken_rules(system) == {}


async def test_refit_again_changes_nothing(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    once = await adjust(system, job, gpu_seconds=77, tokens=5)
    first = [(leg.unit, leg.held, leg.released) for leg in once.legs]
    again = await adjust(system, job, gpu_seconds=77, tokens=5)
    assert [(leg.unit, leg.held, leg.released) for leg in again.legs] == first


async def test_surplus_goes_back_to_the_grant_that_pays_last(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    first = await add_grant(system, job_contract := customer.contract["id"], 100, priority=-1)
    job = await start_job(system, customer, gpu_seconds=150, tokens=0)
    view = await adjust(system, job, gpu_seconds=100, tokens=0)
    opened = {leg.grant_id: leg.held - leg.released for leg in view.legs if leg.unit == "gpu_seconds"}
    assert opened.pop(first) == 100
    assert list(opened.values()) == [0]
    assert (await read_balance(system, job_contract)).available_gpu_seconds == 500 * HOUR


async def test_what_the_contract_does_not_cover_is_refused_and_changes_nothing(api: Api, system: System) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid")
    budgeted = await make_ready_customer(api, monthly_budget="7.00")
    for customer, error in ((prepaid, errors.InsufficientBalance), (budgeted, errors.BudgetExceeded)):
        job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
        before = await read_balance(system, job.contract_id)
        with pytest.raises(error):
            await adjust(system, job, gpu_seconds=501 * HOUR, tokens=0)
        assert await read_balance(system, job.contract_id) == before
    assert await broken_rules(system) == {}


async def test_nothing_more_is_held_on_a_contract_that_has_ended(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, ends_at="2026-11-12T00:00:00Z")
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    clock.advance(days=3)
    await adjust(system, job, gpu_seconds=HOUR, tokens=0)
    with pytest.raises(errors.NoContractInForce):
        await adjust(system, job, gpu_seconds=HOUR + 1, tokens=0)


async def test_hold_that_had_expired_holds_again(api: Api, system: System, clock: ManualClock) -> None:
    """A paused job's hold ends while the broker is down for long; resumed, the job had run without one."""
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    clock.advance(days=400)
    async with system.work() as work:
        await ledger.expire_hold(work, job.id)
    await adjust(system, job, gpu_seconds=600, tokens=0)
    hold = (await read_hold(system, job.id)).hold
    assert (hold.state, hold.ended_at, hold.month) == ("placed", None, "2027-12")
    assert hold.expires_at > clock.now
    assert (await read_balance(system, job.contract_id)).held_gpu_seconds == 600
    assert await broken_rules(system) == {}
