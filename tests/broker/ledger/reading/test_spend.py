"""What is spent day by day: what the job costs, on the day on which it was charged, with each day there was."""

from fastapi import FastAPI

from broker.ledger.reading.spend import read_spend
from broker.system import System
from pricing.money import Money
from tests.broker.factories import Api, make_ready_customer, submit_job
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
