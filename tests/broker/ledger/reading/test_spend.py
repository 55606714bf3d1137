"""What is spent day by day: what the job costs, on the day on which it was charged, with each day there was."""

import pytest
from fastapi import FastAPI

from broker.ledger.reading.spend import DaySpend, read_spend
from broker.system import System
from pricing.money import Money
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.messages import listing_messages
from tests.broker.worker_calls import dispatched_worker


async def test_the_days_add_up_to_what_the_job_costs(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(30)
        await worker.finish("succeeded")
    cost = Money.from_decimal((await api.get(f"/jobs/{job_id}"))["cost"]["amount"])
    async with system.work() as work:
        days = await read_spend(work, [customer.contract["id"]], days=30, time_zone="Asia/Shanghai")
    assert len(days) == 30
    assert days[-1].total == cost > Money.zero()
    assert days[-1].by_grants == Money.zero()
    assert {each.total for each in days[:-1]} == {Money.zero()}
    assert str(days[-1].day) == "2026-11-10"


async def test_days_that_are_over_are_read_once_and_what_comes_today_is_added(
    api: Api, app: FastAPI, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    contract = customer.contract["id"]
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    clock = system.services.clock

    async def look() -> tuple[list[DaySpend], int]:
        async with system.work() as work:
            with listing_messages(monkeypatch) as messages:
                days = await read_spend(work, [contract], days=3, time_zone="Asia/Shanghai")
            return days, sum("captures" in message for message in messages)

    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(30)
        first, _asked = await look()
        clock.advance(days=1)
        await worker.beat(5)
        (second, asked), (third, again) = await look(), await look()
    assert [each.total for each in first][-1] == [each.total for each in second][-2] > Money.zero()
    assert second[-1].total > Money.zero()
    assert third == second
    assert (asked, again) == (2, 1)
