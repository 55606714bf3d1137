"""Hours that a run lost by our doing are the customer's still, whenever their grant ends and the hold lets them go."""

from datetime import timedelta

import pytest

from broker.contracts import service as contracts
from broker.contracts.tables import Grant
from broker.daemon.sweeps import Sweeps
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.ledger.grants.grant_balances import GrantBalance
from broker.signing.unused import expire_grants
from broker.system import System
from pricing.grants import GrantKind
from pricing.money import Money
from pricing.usage import Usage
from tests.broker.billing.invoicing import bill, read_money
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.running_jobs import (
    RunningJob,
    add_grant,
    broken_rules,
    read_hold,
    report_usage,
    settle,
    start_job,
)

SOON = START + timedelta(hours=1)
PROMOTION = {"kind": GrantKind.PROMOTIONAL, "advance": False}


async def lose(system: System, job: RunningJob) -> None:
    """Let the house bear all that the job's run used: it has no checkpoint."""
    async with system.work() as work:
        row = await work.session.get_one(Job, job.id)
        view = await ledger.lock_hold(work, job.id)
        cause, checkpoints = ledger.Cause.MACHINE_LOST, ledger.Checkpoints()
        assert await ledger.bear_lost_work(work, view, job.run_id, cause=cause, checkpoints=checkpoints) is not None
        row.borne_gpu_seconds = view.borne_usage().gpu_seconds
        row.cost_micros, row.borne_micros = view.cost_so_far().micros, view.borne_so_far().micros


async def sweep(system: System) -> None:
    await Sweeps(system).expire_grants()


async def list_compensations(system: System, contract_id: str) -> list[GrantBalance]:
    async with system.work() as work:
        grants = await contracts.list_grants(work, contract_id)
        balances = await ledger.read_grant_balances(work, grants)
    return [each for each in balances if each.terms.kind == GrantKind.COMPENSATION]


async def start(system: System, api: Api, *, used: int = 700, **grant: object) -> tuple[Customer, RunningJob]:
    """Start a job that has 4,000 seconds of a grant, and used some of them."""
    customer = await make_ready_customer(api)
    await add_grant(system, customer.contract["id"], 5000, **(PROMOTION | {"expires_at": SOON} | grant))
    job = await start_job(system, customer, gpu_seconds=4000, tokens=0)
    await report_usage(system, job, gpu_seconds=used)
    return customer, job


async def test_lost_work_that_a_live_hold_has_again_pays_on_once_its_grant_is_over(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, job = await start(system, api)
    await lose(system, job)
    clock.now = SOON
    await sweep(system)
    (made,) = await list_compensations(system, job.contract_id)
    assert (made.free, made.terms.expires_at) == (700, SOON + timedelta(days=30))
    await report_usage(system, job, gpu_seconds=720, ended_at=SOON)
    legs = [leg for leg in (await read_hold(system, job.id)).legs if leg.captured and leg.unit_price and not leg.borne]
    assert {leg.grant_id: leg.captured for leg in legs} == {made.terms.id: 700, None: 20}
    await sweep(system)
    await settle(system, job)
    await sweep(system)
    assert [each.free for each in await list_compensations(system, job.contract_id)] == [0]
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    assert sorted(line["kind"] for line in invoice["lines"]) == ["advance", "usage", "usage"]
    assert (await read_money(system, customer))["gift_costs"] == "1.32"
    assert await broken_rules(system) == {}


async def test_what_was_used_again_before_the_end_of_the_grant_does_not_come_back_twice(
    api: Api, system: System, clock: ManualClock
) -> None:
    _customer, job = await start(system, api)
    await lose(system, job)
    await report_usage(system, job, gpu_seconds=500)
    clock.now = SOON
    for _turn in range(2):
        await sweep(system)
        assert [each.free for each in await list_compensations(system, job.contract_id)] == [200]
    await settle(system, job)
    await sweep(system)
    assert [each.free for each in await list_compensations(system, job.contract_id)] == [200]
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("how", ["settled", "expired", "adjusted"])
async def test_hold_that_lets_lost_work_go_before_any_sweep_gives_the_same(
    api: Api, system: System, clock: ManualClock, how: str
) -> None:
    _customer, job = await start(system, api)
    await lose(system, job)
    clock.now = SOON
    if how == "settled":
        await settle(system, job)
    else:
        async with system.work() as work:
            if how == "expired":
                clock.advance(days=2)
                await ledger.expire_hold(work, job.id)
            else:
                await ledger.adjust_hold(work, job.id, needs={None: Usage(600, 0)})
    (made,) = await list_compensations(system, job.contract_id)
    assert (made.free, made.held) == ((100, 600) if how == "adjusted" else (700, 0))
    assert await broken_rules(system) == {}


async def test_hold_that_lost_nothing_lets_what_it_had_of_an_ended_grant_expire(
    api: Api, system: System, clock: ManualClock
) -> None:
    _customer, job = await start(system, api)
    async with system.work() as work:  # an event that said too much: the hold has them again, as if it had not been
        await ledger.correct_usage(work, await ledger.lock_hold(work, job.id), job.run_id, 0, Usage(100, 0))
    clock.now = SOON
    await sweep(system)
    await settle(system, job)
    await sweep(system)
    assert await list_compensations(system, job.contract_id) == []


@pytest.mark.parametrize("end", ["void", "expired early", "term over"])
async def test_work_lost_after_its_grant_has_ended_in_any_way_is_a_compensation(
    api: Api, system: System, clock: ManualClock, end: str
) -> None:
    customer, job = await start(system, api)
    if end == "term over":
        clock.now = SOON
    else:
        async with system.work() as work:
            if end == "void":
                (grant,) = await contracts.list_grants(work, job.contract_id)
                await ledger.void_grant(work, grant.id, "another was meant")
            else:
                await expire_grants(work, await contracts.lock_contract(work, job.contract_id))
    await lose(system, job)
    await settle(system, job)
    await sweep(system)
    assert [each.free for each in await list_compensations(system, job.contract_id)] == [700]
    clock.advance(days=30)
    await bill(api, customer, "2026-11")  # its gifts took back more than they gave
    assert await broken_rules(system) == {}


async def test_what_was_paid_for_lost_work_goes_along_with_its_hours_and_is_earned_as_they_are_used(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(
        api, plan="prepaid", ends_at=SOON.isoformat(), tax_mode="included", tax_rate="0.06"
    )
    contract_id = customer.contract["id"]
    following = await api.post(f"/contracts/{contract_id}/renewal", {"renew": True, "ends_at": "2027-12-01T00:00:00Z"})
    job = await start_job(system, customer, gpu_seconds=400 * 3600, tokens=0)
    await report_usage(system, job, gpu_seconds=300 * 3600)
    await lose(system, job)
    clock.now = SOON
    await settle(system, job)
    await sweep(system)
    assert (await read_money(system, customer))["breakage"] == "-981.13"  # 200 of 500 hours; 2452.83 were paid for all
    (old,) = await list_compensations(system, contract_id)
    (made,) = await list_compensations(system, following["id"])
    assert (old.free, made.free, made.terms.expires_at) == (0, 300 * 3600, SOON + timedelta(days=30))
    async with system.work() as work:
        assert await ledger.read_deferred(work, made.terms.id) == Money.from_decimal("1471.70")
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("used_again", "earned"),
    [
        (0, {"breakage": "-2600.00"}),
        (100, {"revenue": "-520.00", "breakage": "-2080.00"}),
        (300, {"revenue": "-1560.00", "breakage": "-1040.00"}),
    ],
)
@pytest.mark.parametrize("lost", ["before its grant is over", "after"])
async def test_compensation_of_paid_hours_is_no_gift(
    api: Api, system: System, clock: ManualClock, used_again: int, earned: dict[str, str], lost: str
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    async with system.work() as work:
        (paid,) = await contracts.list_grants(work, customer.contract["id"])
        (await work.session.get_one(Grant, paid.id)).expires_at = SOON
    job = await start_job(system, customer, gpu_seconds=400 * 3600, tokens=0)
    await report_usage(system, job, gpu_seconds=300 * 3600)
    if lost == "after":
        clock.now = SOON
        await sweep(system)
    await lose(system, job)
    clock.now = SOON
    await sweep(system)
    await report_usage(system, job, gpu_seconds=used_again * 3600, ended_at=SOON)
    await settle(system, job)
    await sweep(system)
    clock.now = START + timedelta(days=40)
    await sweep(system)  # the compensation is over before the month is closed
    await bill(api, customer, "2026-11")
    assert await read_money(system, customer) == {"cash": "2600.00"} | earned
    assert await broken_rules(system) == {}
