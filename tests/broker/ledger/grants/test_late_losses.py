"""Lost hours of a long-term contract that come back after its end: nobody pays for them, and nobody gets them twice."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.daemon.sweeps import Sweeps
from broker.system import System
from tests.broker.billing.invoicing import bill, read_money, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, sign_contract, upload_dataset
from tests.broker.ledger.correcting.test_compensation_sweep import list_compensations, lose, sweep
from tests.broker.metering.correcting.test_run_corrections import correct, send
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, report_usage, settle, start_job

ENDS = datetime(2026, 11, 20, tzinfo=UTC)
BILLED = datetime(2026, 12, 2, tzinfo=UTC)


async def start(api: Api, system: System) -> tuple[Customer, RunningJob]:
    """Use 300 of 2,000 hours of a term, by a job that is not over."""
    customer = await make_ready_customer(
        api, plan="long_term", committed_gpu_hours=2000, ends_at=ENDS.isoformat(), contract_number="A"
    )
    job = await start_job(system, customer, gpu_seconds=400 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=300 * HOUR)
    return customer, job


async def lose_after_the_end(system: System, job: RunningJob, clock: ManualClock) -> None:
    clock.now = ENDS + timedelta(hours=1)
    await sweep(system)
    await lose(system, job)
    await settle(system, job)


async def test_they_are_neither_billed_nor_charged_as_unused(api: Api, system: System, clock: ManualClock) -> None:
    """The true-up charged them as hours that nobody had used."""
    customer, job = await start(api, system)
    await lose_after_the_end(system, job, clock)
    shown = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    assert (shown["used_gpu_hours"], shown["true_up"]["amount"]) == ("300.0000", "6800.00")
    clock.now = BILLED
    assert (await bill(api, customer, "2026-11"))["total"]["amount"] == "6800.00"
    # Its compensation has no contract to be used under. Nobody had paid for it, so no money comes back.
    clock.now = ENDS + timedelta(days=31)
    await sweep(system)
    (made,) = await list_compensations(system, customer.contract["id"])
    assert (made.free, made.terms.billable) == (0, True)
    assert await read_money(system, customer) == {"receivable": "6800.00", "revenue": "-6800.00"}
    assert await broken_rules(system) == {}


async def test_lost_after_the_true_up_was_final_they_are_given_back(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, job = await start(api, system)
    clock.now = BILLED
    await sweep(system)
    assert (await bill(api, customer, "2026-11"))["total"]["amount"] == "8000.00"
    await lose(system, job)
    await settle(system, job)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    # 1,200.00 for the hours; of the true-up nothing: it had charged for the other 1,700.
    assert (await bill(api, customer, "2026-12"))["total"]["amount"] == "-1200.00"
    assert await broken_rules(system) == {}


async def test_their_compensation_is_billed_as_it_is_used_under_another_contract(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It was free: hours that nobody had paid for were given for nothing."""
    customer, job = await start(api, system)
    await lose_after_the_end(system, job, clock)
    signed = await sign_contract(api, customer.id, starts_at=clock.now.isoformat(), contract_number="B")
    other = Customer(customer.id, signed, await upload_dataset(api, customer.id))
    await Sweeps(system).expire_grants()
    (carried,) = (await api.get("/grants", contract_id=signed["id"]))["data"]
    assert (carried["kind"], carried["left"], carried["unit_price"], carried["billed_as_used"]) == (
        "compensation",
        300 * HOUR,
        "4",
        True,
    )
    await use(system, other, 100 * HOUR)
    clock.now = BILLED
    assert (await bill(api, other, "2026-11"))["total"]["amount"] == "400.00"
    assert await read_money(system, other) == {"receivable": "400.00", "revenue": "-400.00"}
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("never_used", "true_up"), [(0, "6800.00"), (100, "7200.00")])
async def test_hours_that_no_grant_had_covered_count_as_used_unless_they_never_were(
    api: Api, system: System, clock: ManualClock, never_used: int, true_up: str
) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000, ends_at=ENDS.isoformat())
    (grant,) = (await api.get("/grants", contract_id=customer.contract["id"]))["data"]
    await api.post(f"/grants/{grant['id']}/void", {"reason": "made by mistake"})
    job = await start_job(system, customer, gpu_seconds=400 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=300 * HOUR)
    await lose_after_the_end(system, job, clock)
    if never_used:
        told = correct(job.run_id, 0, "c1", clock, gpu_seconds=(300 - never_used) * HOUR)
        assert await send(api, told) == ["accepted"]
    clock.now = BILLED
    assert (await bill(api, customer, "2026-11"))["total"]["amount"] == true_up
    assert await broken_rules(system) == {}


async def test_what_a_correction_takes_off_a_loss_afterwards_was_never_used(
    api: Api, system: System, clock: ManualClock
) -> None:
    """Once compensated, hours that had never been used still counted as used in the true-up."""
    customer, job = await start(api, system)
    await lose_after_the_end(system, job, clock)
    clock.now += timedelta(hours=1)
    assert await send(api, correct(job.run_id, 0, "c1", clock, gpu_seconds=200 * HOUR)) == ["accepted"]
    shown = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    assert (shown["used_gpu_hours"], shown["true_up"]["amount"]) == ("200.0000", "7200.00")
    clock.now = BILLED
    assert (await bill(api, customer, "2026-11"))["total"]["amount"] == "7200.00"
    assert await broken_rules(system) == {}


async def test_hours_that_come_back_before_the_end_may_be_used_until_then(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, job = await start(api, system)
    clock.now = ENDS - timedelta(hours=1)
    await lose(system, job)  # in time: the hours are the grant's again, to its end
    await settle(system, job)
    clock.now = BILLED
    await sweep(system)
    assert (await bill(api, customer, "2026-11"))["total"]["amount"] == "8000.00"
    assert await list_compensations(system, customer.contract["id"]) == []
