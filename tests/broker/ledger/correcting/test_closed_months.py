"""What is taken back of a closed month keeps its hours and its money, whatever befalls them before the next close."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.contracts import service as contracts
from broker.contracts.tables import Grant
from broker.daemon.sweeps import Sweeps
from broker.ledger import service as ledger
from broker.system import System
from tests.broker.billing.invoicing import bill, read_money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.ledger.correcting.test_compensation_sweep import list_compensations
from tests.broker.metering.correcting.test_run_corrections import correct, send
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, report_usage, settle, start_job

DECEMBER = datetime(2026, 12, 2, tzinfo=UTC)


async def sweep(system: System) -> None:
    await Sweeps(system).expire_grants()


async def use_and_close(api: Api, system: System, clock: ManualClock, **terms: str) -> tuple[Customer, RunningJob]:
    """Use 300 of 500 hours that were paid ahead, and close their month."""
    customer = await make_ready_customer(api, plan="prepaid", **terms)
    job = await start_job(system, customer, gpu_seconds=300 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=300 * HOUR)
    await settle(system, job)
    clock.now = DECEMBER
    await bill(api, customer, "2026-11")
    return customer, job


async def expire(system: System, customer: Customer, moment: datetime) -> None:
    """Let the hours that were bought expire."""
    async with system.work() as work:
        (paid,) = await contracts.list_grants(work, customer.contract["id"])
        (await work.session.get_one(Grant, paid.id)).expires_at = moment
    await sweep(system)


async def take_back(api: Api, clock: ManualClock, job: RunningJob, used: int) -> None:
    """Say of the job's only interval that it used no more than so many hours."""
    clock.advance(seconds=1)
    assert await send(api, correct(job.run_id, 0, f"c-{job.id}", clock, gpu_seconds=used * HOUR)) == ["accepted"]


@pytest.mark.parametrize(
    ("tax", "money"),
    [
        ({}, {"cash": "2600.00", "revenue": "-1040.00", "breakage": "-1560.00"}),
        (
            {"tax_mode": "included", "tax_rate": "0.06"},
            {"cash": "2600.00", "tax": "-147.17", "revenue": "-981.13", "breakage": "-1471.70"},
        ),
    ],
)
@pytest.mark.parametrize("over", ["before the correction", "after it"])
async def test_hours_that_came_back_and_are_over_before_the_next_close_are_breakage_and_no_rounding(
    api: Api, system: System, clock: ManualClock, over: str, tax: dict[str, str], money: dict[str, str]
) -> None:
    """300 hours were earned, 100 of them come back: nobody uses those, nor the 200 that were left."""
    customer, job = await use_and_close(api, system, clock, **tax)
    if over == "before the correction":
        await expire(system, customer, DECEMBER)
        await take_back(api, clock, job, 200)
        (made,) = await list_compensations(system, job.contract_id)
        assert made.free == 100 * HOUR
        async with system.work() as work:
            assert (await ledger.read_deferred(work, made.terms.id)).micros > 0
        assert await broken_rules(system) == {}
        clock.advance(days=30)
        await sweep(system)
    else:
        await take_back(api, clock, job, 200)
        assert await broken_rules(system) == {}
        await expire(system, customer, DECEMBER)
    assert await broken_rules(system) == {}
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    december = await bill(api, customer, "2026-12")
    assert december["total"]["amount"] == "0.00"
    assert await read_money(system, customer) == money
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("used", "money"),
    [
        (0, {"deferred_revenue": "-1560.00", "revenue": "-1040.00"}),
        (50, {"deferred_revenue": "-1300.00", "revenue": "-1300.00"}),
        (300, {"revenue": "-2600.00"}),
    ],
)
async def test_hours_that_came_back_are_earned_as_they_are_used_again(
    api: Api, system: System, clock: ManualClock, used: int, money: dict[str, str]
) -> None:
    customer, job = await use_and_close(api, system, clock)
    await take_back(api, clock, job, 200)
    if used:
        again = await start_job(system, customer, gpu_seconds=used * HOUR, tokens=0)
        await report_usage(system, again, gpu_seconds=used * HOUR)
        await settle(system, again)
    assert await broken_rules(system) == {}
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await bill(api, customer, "2026-12")
    assert await read_money(system, customer) == {"cash": "2600.00"} | money
    assert await broken_rules(system) == {}


async def test_hours_that_came_back_are_refunded_with_the_rest_before_the_close(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, job = await use_and_close(api, system, clock)
    await take_back(api, clock, job, 200)
    (grant,) = (await api.get("/grants", contract_id=job.contract_id))["data"]
    refund = await api.post(f"/grants/{grant['id']}/refund")
    assert (refund["gpu_hours"], refund["total"]["amount"]) == ("300.0000", "1560.00")
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await bill(api, customer, "2026-12")
    assert await read_money(system, customer) == {"cash": "2600.00", "refunds": "-1560.00", "revenue": "-1040.00"}
    assert await broken_rules(system) == {}


async def test_what_two_closed_months_give_back_is_on_the_invoice_that_takes_it_back(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, job = await use_and_close(api, system, clock)
    second = await start_job(system, customer, gpu_seconds=50 * HOUR, tokens=0)
    await report_usage(system, second, gpu_seconds=50 * HOUR)
    await settle(system, second)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await bill(api, customer, "2026-12")
    await take_back(api, clock, job, 293)
    await take_back(api, clock, second, 39)
    clock.now += timedelta(days=40)
    await bill(api, customer, "2027-01")
    left = {"deferred_revenue": "-873.60", "revenue": "-1726.40"}  # 332 hours were used, 168 are left
    assert await read_money(system, customer) == {"cash": "2600.00"} | left
    assert await broken_rules(system) == {}
