"""Whether a job must stop, and whether a use would still be charged: asked of what decides each capture."""

from datetime import timedelta

import pytest

from broker.ledger import service as ledger
from broker.ledger.rating.charge_limit import Promise
from broker.ledger.service import Shortage
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import HOUR, RunningJob, report_usage, start_job


async def find_shortage(system: System, job: RunningJob, promise: Promise = Promise()) -> Shortage | None:  # noqa: B008
    async with system.work() as work:
        return await ledger.find_shortage(work, await ledger.get_hold(work, job.id), promise=promise)


async def is_exhausted(system: System, job: RunningJob, clock: ManualClock, *, hours_ago: int = 0) -> bool:
    async with system.work() as work:
        used_at = clock.now - timedelta(hours=hours_ago)
        return await ledger.is_exhausted(work, await ledger.get_hold(work, job.id), used_at)


@pytest.mark.parametrize(
    ("contract", "shortage"),
    [({"monthly_budget": "7.00"}, Shortage.BUDGET), ({"plan": "prepaid"}, Shortage.BALANCE), ({}, None)],
)
async def test_job_that_has_gone_beyond_is_told_what_is_gone(
    api: Api, system: System, contract: dict[str, str], shortage: Shortage | None
) -> None:
    customer = await make_ready_customer(api, **contract)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    assert await find_shortage(system, job) is None
    await report_usage(system, job, gpu_seconds=501 * HOUR)
    assert await find_shortage(system, job) == shortage


async def test_job_at_its_limit_is_told_so_and_one_at_its_cap_goes_on(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0, limit_micros=1_000_000)
    await report_usage(system, job, gpu_seconds=HOUR)
    assert await find_shortage(system, job, Promise(limit=Money(1_000_000))) == Shortage.LIMIT
    assert await find_shortage(system, job, Promise(limit=Money(9_000_000))) is None
    assert await find_shortage(system, job, Promise(cap=Money(1_000_000))) is None


async def test_contract_s_end_stops_a_job_that_has_gone_beyond_nothing(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, ends_at="2026-11-10T05:00:00Z")
    job = await start_job(system, customer)
    assert await find_shortage(system, job) is None
    clock.advance(hours=1)
    assert await find_shortage(system, job) == Shortage.CONTRACT_ENDED


async def test_use_is_judged_by_its_own_moment(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, ends_at="2026-11-10T05:00:00Z")
    job = await start_job(system, customer)
    clock.advance(hours=2)
    assert await is_exhausted(system, job, clock)
    assert not await is_exhausted(system, job, clock, hours_ago=1)


async def test_use_is_charged_as_long_as_somebody_left_something(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, monthly_budget="13.60")
    jobs = [await start_job(system, customer, gpu_seconds=HOUR, tokens=0) for _ in range(2)]
    assert not await is_exhausted(system, jobs[0], clock), "its own hold pays"
    await report_usage(system, jobs[0], gpu_seconds=HOUR)
    assert await is_exhausted(system, jobs[0], clock), "what is left is another's"
    assert not await is_exhausted(system, jobs[1], clock)
