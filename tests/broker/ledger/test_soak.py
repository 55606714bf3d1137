"""Ten thousand intervals past p90: the hold keeps its few legs, every interval is charged once, and the books hold."""

import random

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from broker.ledger.tables import Capture, HoldLeg
from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules, read_hold
from tests.broker.worker_calls import Worker, dispatched_worker

INTERVALS = 10_000
MOST_IN_ONE_REQUEST = 500
SEED = random.randrange(2**32)


async def report(worker: Worker, count: int, *, checkpoint: bool) -> None:
    usage = [worker.interval(2, 7) for _ in range(count)]
    if checkpoint:
        usage[count // 2]["data"]["checkpoint_step"] = worker.sequence
    await worker.post("heartbeats", usage=usage)


async def count_rows(system: System, job_id: str) -> tuple[int, int]:
    async with system.work() as work:
        captures = await work.session.scalar(select(func.count()).where(Capture.job_id == job_id))
        legs = await work.session.scalar(
            select(func.count()).where(HoldLeg.hold_id == (await read_hold(system, job_id)).hold.id)
        )
    return captures or 0, legs or 0


@pytest.mark.slow
@pytest.mark.parametrize("budget", [None, "50.00"])
async def test_legs_stay_few_however_long_a_job_runs_past_its_estimate(
    api: Api, app: FastAPI, system: System, budget: str | None
) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    sizes, requests, left = random.Random(SEED), 0, INTERVALS
    customer = await make_ready_customer(api, **({} if budget is None else {"monthly_budget": budget}))
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await report(worker, job["estimate"]["gpu_seconds"]["p90"], checkpoint=False)
        while left:
            count = min(left, sizes.choice([1, 2, 30, MOST_IN_ONE_REQUEST]))
            await report(worker, count, checkpoint=sizes.random() < 0.2)
            requests, left = requests + 1, left - count
    captures, legs = await count_rows(system, job["id"])
    borne = 0 if budget is None else 3
    assert legs <= 3 + 3 + borne, "those that were placed, one extension of each, and what is borne"
    assert captures <= 4 * 2 * (requests + 1), "each request writes a row for each leg and checkpoint, not an interval"
    after = await api.get(f"/jobs/{job['id']}")
    assert after["used_tokens"] == 7 * worker.sequence, "nothing is lost"
    assert await broken_rules(system) == {}
