"""The course of a job's loss: no spike is lost by thinning out, and what happened to the job stands beside it."""

from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from broker.jobs.reading.loss_curve import compute_bucket_steps, read_loss_curve
from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


@given(st.integers(1, 10**9), st.integers(1, 5000))
def test_so_many_steps_go_into_a_bucket_that_the_buckets_are_not_exceeded(steps: int, buckets: int) -> None:
    width = compute_bucket_steps(steps, buckets)
    assert (steps - 1) // width < buckets
    assert width == 1 or (steps - 1) // (width - 1) >= buckets


@pytest.fixture
async def job_id(api: Api) -> str:
    customer = await make_ready_customer(api)
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


def losses(first: int, last: int, mean: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {
        "first_step": first,
        "step": last,
        "mean": mean,
        "low": mean if low is None else low,
        "high": mean if high is None else high,
    }


async def test_a_spike_survives_thinning_out_and_told_again_changes_nothing(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    told = [losses(1, 4, 2.0), losses(5, 6, 3.0, low=1.0, high=9.5), losses(7, 10, 1.5)]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("heartbeats", losses=told[:2], validations=[{"step": 6, "loss": 2.5}])
        await worker.post("heartbeats", losses=told[1:])
        await worker.put("checkpoints/8", b"state")
        await worker.finish("preempted", losses=[losses(11, 11, 1.25)])
    async with system.work() as work:
        curve = await read_loss_curve(work, job_id)
        assert [(each.step, each.mean) for each in curve.training] == [(4, 2.0), (6, 3.0), (10, 1.5), (11, 1.25)]
        thin = await read_loss_curve(work, job_id, buckets=1)
        part = await read_loss_curve(work, job_id, first=5, last=7)
    assert [(each.low, each.high) for each in thin.training] == [(1.0, 9.5)]
    assert thin.training[0].mean == pytest.approx((4 * 2.0 + 2 * 3.0 + 4 * 1.5 + 1.25) / 11)
    assert [each.step for each in part.training] == [6, 10]
    assert (part.first, part.last) == (5, 7)
    assert part.marks == []
    assert [(each.step, each.loss) for each in curve.validation] == [(6, 2.5)]
    assert [(mark.kind, mark.step) for mark in curve.marks] == [("checkpoint_saved", 8), ("run_preempted", 8)]


async def test_losses_out_of_order_are_refused_by_field(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        problem = await worker.post("heartbeats", losses=[losses(3, 2, 1.0)], expect=422)
    assert problem["errors"][0]["field"].startswith("losses.0")
