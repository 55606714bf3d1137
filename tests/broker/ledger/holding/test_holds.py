"""Holds over their life: split, retried, renewed, moved to a new month, settled, expired; and the races between."""

import asyncio
from datetime import timedelta

import pytest

from broker import errors
from broker.daemon.sweeps import Sweeps
from broker.ledger import service as ledger
from broker.ledger.holding.holds import HoldView
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import (
    Api,
    customer_api,
    dispatch,
    make_customer,
    make_ready_customer,
    sign_contract,
    submit_job,
    upload_dataset,
    usage_event,
    worker_api,
)
from tests.broker.running_jobs import (
    HOUR,
    add_grant,
    broken_rules,
    place_hold,
    read_balance,
    read_hold,
    report_usage,
    settle,
    start_job,
)


async def place(system: System, contract_id: str, job_id: str, gpu_seconds: int, key: str = "key-1") -> HoldView:
    async with system.work() as work:
        return await place_hold(work, contract_id, job_id, gpu_seconds=gpu_seconds, tokens=100, key=key)


def split_of(view: HoldView) -> list[tuple[str, str | None, int]]:
    return [(leg.unit, leg.grant_id, leg.held) for leg in view.legs]


async def test_hold_is_split_over_grants_and_overage_in_burn_down_order(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage="contract")
    first = await add_grant(system, customer.contract["id"], 100, priority=-1)
    view = await place(system, customer.contract["id"], "job_1", 500 * HOUR + 130)
    gpu = [(leg.grant_id == first, leg.grant_id is None, leg.held, leg.billable) for leg in view.legs][:3]
    assert gpu == [(True, False, 100, False), (False, False, 500 * HOUR, False), (False, True, 30, True)]


async def test_retry_with_the_same_key_answers_the_same_split_whatever_the_balance(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage="contract")
    contract_id = customer.contract["id"]
    before = await place(system, contract_id, "job_1", 499 * HOUR)
    await place(system, contract_id, "job_2", 1 * HOUR, key="key-2")
    again = await place(system, contract_id, "job_other", 499 * HOUR)
    assert split_of(again) == split_of(before)
    assert (again.hold.id, again.hold.job_id) == (before.hold.id, "job_1")
    assert (await read_balance(system, contract_id)).held_gpu_seconds == 500 * HOUR


async def test_concurrent_retries_place_one_hold(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    views = await asyncio.gather(
        *(place(system, customer.contract["id"], f"job_{number}", HOUR) for number in range(12))
    )
    assert len({view.hold.id for view in views}) == 1
    assert (await read_balance(system, customer.contract["id"])).held_gpu_seconds == HOUR


async def test_unpaid_advance_refuses_and_says_to_pay_it(api: Api, system: System) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500)
    with pytest.raises(errors.InsufficientBalance, match="pay the advance invoice"):
        await place(system, contract["id"], "job_1", HOUR)


async def test_hold_settled_by_two_at_once_releases_once(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    other = await start_job(system, customer, gpu_seconds=9 * HOUR)
    job = await start_job(system, customer, gpu_seconds=2 * HOUR)
    await report_usage(system, job, gpu_seconds=HOUR)

    async def end() -> None:
        async with system.work() as work:
            view = await ledger.get_hold(work, job.id)  # a reader that looked before it had the lock
            assert view.hold.state in {"placed", "settled"}
            await ledger.settle_hold(work, job.id)

    await asyncio.gather(*(end() for _ in range(8)))
    balance = await read_balance(system, customer.contract["id"])
    assert (balance.available_gpu_seconds, balance.held_gpu_seconds) == (490 * HOUR, 9 * HOUR)
    assert (await read_hold(system, other.id)).hold.state == "placed"


async def test_settle_gives_back_what_was_not_used(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="10.00")
    job = await start_job(system, customer, gpu_seconds=2 * HOUR, tokens=10_000)
    await report_usage(system, job, gpu_seconds=HOUR, tokens=4_000)
    view = await settle(system, job)
    assert [(leg.held, leg.captured, leg.released) for leg in view.legs] == [
        (7200, 3600, 3600),
        (10_000, 4_000, 6_000),
        (900_000, 360_000, 540_000),
    ]
    balance = await read_balance(system, customer.contract["id"])
    assert balance.budget_left is not None
    assert balance.budget_left.format_amount() == "9.64"


async def test_hold_that_was_renewed_meanwhile_does_not_expire(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer)
    clock.advance(hours=2)
    async with system.work() as sweep:
        assert await ledger.list_expired_holds(sweep) == [job.id]
        async with system.work() as heartbeat:
            await ledger.renew_holds(heartbeat, [job.id])
        assert (await ledger.expire_hold(sweep, job.id)).hold.state == "placed"


async def test_heartbeat_and_sweep_do_not_block_each_other_for_ever(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=100 * HOUR)

    async def expire() -> None:
        async with system.work() as work:
            await ledger.expire_hold(work, job.id)

    for _ in range(5):
        clock.advance(hours=2)
        await asyncio.gather(report_usage(system, job, gpu_seconds=1, tokens=1), expire())
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
async def test_sweep_keeps_the_hold_of_a_live_job_for_days(
    api: Api, system: System, clock: ManualClock, status: str
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, status=status)
    for _ in range(3):
        clock.advance(days=2)
        await Sweeps(system).sweep_holds()
    view = await read_hold(system, job.id)
    assert view.hold.state == "placed"
    assert view.hold.expires_at == clock.now + timedelta(seconds=system.services.settings.hold_seconds)


async def test_holds_are_renewed_together_but_locked_ones_and_those_of_an_earlier_month_are_named(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    jobs = [(await start_job(system, customer, status="queued")).id for _ in range(3)]
    clock.advance(hours=12)
    async with system.work() as elsewhere:
        await ledger.lock_hold_rows(elsewhere, jobs[:1])
        async with system.work() as sweep:
            assert await ledger.extend_holds(sweep, jobs) == []
    ends = [(await read_hold(system, job_id)).hold.expires_at for job_id in jobs]
    later = clock.now + timedelta(seconds=system.services.settings.hold_seconds)
    assert (ends[0] < later, ends[1:]) == (True, [later, later])
    clock.advance(days=21)
    async with system.work() as sweep:
        assert set(await ledger.extend_holds(sweep, jobs)) == set(jobs)


async def test_hold_of_a_live_job_that_is_locked_during_the_sweep_does_not_expire(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, status="queued")
    clock.advance(days=1)
    async with system.work() as elsewhere:
        await ledger.lock_hold_rows(elsewhere, [job.id])
        await Sweeps(system).sweep_holds()
    assert (await read_hold(system, job.id)).hold.state == "placed"


async def test_sweep_expires_a_hold_whose_job_does_not_exist(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    await place(system, customer.contract["id"], "job_that_never_was", 5 * HOUR)
    clock.advance(minutes=59)
    await Sweeps(system).sweep_holds()
    assert (await read_hold(system, "job_that_never_was")).hold.state == "placed"
    clock.advance(minutes=2)
    await Sweeps(system).sweep_holds()
    assert (await read_hold(system, "job_that_never_was")).hold.state == "expired"
    balance = await read_balance(system, customer.contract["id"])
    assert (balance.available_gpu_seconds, balance.held_gpu_seconds) == (500 * HOUR, 0)


async def test_heartbeat_renews_the_hold_once_a_tenth_of_its_life_is_used(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    run = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]
    async with worker_api(api.app, system, run["id"]) as worker:
        await worker.post(f"/runs/{run['id']}/claim", {"fence_token": 1})
        clock.advance(minutes=40)
        beat = {"fence_token": 1, "usage": [usage_event(run["id"], gpu_seconds=30)]}
        await worker.post(f"/runs/{run['id']}/heartbeats", beat)
        renewed = clock.now + timedelta(seconds=system.services.settings.hold_seconds)
        assert (await read_hold(system, job["id"])).hold.expires_at == renewed
        for minutes, expected in ((5, renewed), (1, renewed + timedelta(minutes=6))):
            clock.advance(minutes=minutes)
            beat = {"fence_token": 1, "usage": [usage_event(run["id"], 5 + minutes, gpu_seconds=30)]}
            await worker.post(f"/runs/{run['id']}/heartbeats", beat)
            assert (await read_hold(system, job["id"])).hold.expires_at == expected


async def test_waiting_job_holds_money_of_the_new_month_when_the_month_changes(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00")
    job = await start_job(system, customer, gpu_seconds=10 * HOUR, tokens=0, status="queued")
    clock.advance(days=21)
    await Sweeps(system).sweep_holds()
    balance = await read_balance(system, customer.contract["id"])
    assert balance.month == "2026-12"
    assert balance.budget_left is not None
    assert (balance.budget_left.format_amount(), balance.held_money.format_amount()) == ("32.00", "68.00")
    with pytest.raises(errors.BudgetExceeded):
        await place(system, customer.contract["id"], "job_more", 5 * HOUR)
    assert (await read_hold(system, job.id)).hold.month == "2026-12"
    assert await broken_rules(system) == {}


async def test_grant_that_has_expired_is_not_available(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-11-20T00:00:00Z")
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 500 * HOUR
    clock.advance(days=10)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    with pytest.raises(errors.NoContractInForce):
        await place(system, customer.contract["id"], "job_1", HOUR)


async def test_customer_sees_the_hold_in_the_balance(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    async with customer_api(api, customer.id) as own:
        dataset = await upload_dataset(own)
        job = await submit_job(own, dataset["id"])
        balance = await own.get(f"/contracts/{customer.contract['id']}/balance")
    assert balance["held_gpu_seconds"] == job["estimate"]["gpu_seconds"]["p90"]
    assert balance["held_tokens"] == job["estimate"]["tokens"]
