"""Cancel, pause and resume, in every status of a job."""

from itertools import product
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from broker.jobs.rules.model import JobStatus
from broker.persistence.outbox import OutboxMessage
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.running_jobs import ENOUGH_DEVICES, broken_rules, report_usage, start_job
from tests.broker.worker_calls import dispatched_worker, worker_of

# status, action, answer, status after, what the run is told
TABLE = """
queued      cancel  200  cancelled   -
queued      pause   200  paused      -
queued      resume  409  queued      -
dispatched  cancel  200  dispatched  cancel
dispatched  pause   200  dispatched  pause
dispatched  resume  409  dispatched  -
running     cancel  200  running     cancel
running     pause   200  running     pause
running     resume  409  running     -
paused      cancel  200  cancelled   -
paused      pause   409  paused      -
paused      resume  200  queued      -
succeeded   cancel  409  succeeded   -
succeeded   pause   409  succeeded   -
succeeded   resume  409  succeeded   -
failed      cancel  409  failed      -
failed      pause   409  failed      -
failed      resume  409  failed      -
cancelled   cancel  409  cancelled   -
cancelled   pause   409  cancelled   -
cancelled   resume  409  cancelled   -
"""
CASES = [line.split() for line in TABLE.strip().splitlines()]


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api, plan="prepaid")


async def bring_to(status: str, api: Api, app: FastAPI, system: System, customer: Customer) -> str:
    """Bring a new job into the given status, by the ways that customers and workers have; returns its id."""
    job_id: str = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    if status in {"paused", "cancelled"}:
        await api.post(f"/jobs/{job_id}/{'pause' if status == 'paused' else 'cancel'}")
    if status == "dispatched":
        await dispatch(system)
    if status in {"running", "succeeded", "failed"}:
        async with dispatched_worker(api, app, system, job_id) as worker:
            await worker.claim()
            if status != "running":
                await worker.finish(status)
    assert (await api.get(f"/jobs/{job_id}"))["status"] == status
    return job_id


async def list_stops(system: System) -> list[str]:
    async with system.work() as work:
        query = select(OutboxMessage.run_id).where(OutboxMessage.kind == "stop")
        return list((await work.session.scalars(query)).all())


async def held_seconds(api: Api, customer: Customer) -> int:
    balance: dict[str, Any] = await api.get(f"/contracts/{customer.contract['id']}/balance")
    return int(balance["held_gpu_seconds"])


def test_table_lists_every_status_and_action() -> None:
    assert sorted(row[:2] for row in CASES) == sorted(
        [*row] for row in product(JobStatus, ("cancel", "pause", "resume"))
    )


@pytest.mark.parametrize(("status", "action", "answer", "after", "told"), CASES)
async def test_action_does_what_the_table_says(
    status: str,
    action: str,
    answer: str,
    after: str,
    told: str,
    api: Api,
    app: FastAPI,
    system: System,
    customer: Customer,
) -> None:
    job_id = await bring_to(status, api, app, system, customer)
    answered = await api.post(f"/jobs/{job_id}/{action}", expect=int(answer))
    if answer == "409":
        assert answered["type"] == "/problems/illegal-transition"
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["stop_requested"]) == (after, None if told == "-" else told)
    assert len(await list_stops(system)) == (told != "-")
    holds = after in {"queued", "dispatched", "running", "paused"}
    assert (await held_seconds(api, customer) > 0) == holds
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("action", "outcome", "after"),
    [
        ("cancel", "stopped", "cancelled"),
        ("cancel", "preempted", "cancelled"),
        ("pause", "stopped", "paused"),
        ("pause", "preempted", "paused"),
        ("pause", "succeeded", "succeeded"),
    ],
)
async def test_running_job_is_told_to_stop_and_ends_as_asked(
    action: str, outcome: str, after: str, api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    job_id = await bring_to("running", api, app, system, customer)
    await api.post(f"/jobs/{job_id}/{action}")
    async with worker_of(api, app, system, job_id) as worker:
        told = await worker.beat(7)
        assert (told["command"], told["reason"]) == ("stop", action)
        await worker.finish(outcome, usage=[worker.interval(2)])
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["stop_requested"], job["used_gpu_seconds"]) == (after, None, 9)
    assert (await held_seconds(api, customer) == 0) == (after != "paused")
    assert await broken_rules(system) == {}


async def test_stop_of_a_run_that_was_never_claimed_ends_with_it(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    job_id = await bring_to("dispatched", api, app, system, customer)
    await api.post(f"/jobs/{job_id}/cancel")
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
        assert (await worker.beat())["reason"] == "cancel"
        await worker.finish("stopped")
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "cancelled"


async def test_resume_of_a_job_that_still_stops_is_refused_with_the_cure(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    """It was put back into the queue beside its own run, and no job at all was started from then on."""
    job_id = await bring_to("running", api, app, system, customer)
    await api.post(f"/jobs/{job_id}/pause")
    problem = await api.post(f"/jobs/{job_id}/resume", expect=409)
    assert "resume it once it is paused" in problem["detail"]


async def test_asking_again_stops_once_and_cancel_overrides_pause_for_good(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    job_id = await bring_to("running", api, app, system, customer)
    for action in ("pause", "pause", "cancel", "cancel"):
        await api.post(f"/jobs/{job_id}/{action}")
    await api.post(f"/jobs/{job_id}/pause", expect=409)
    assert (await api.get(f"/jobs/{job_id}"))["stop_requested"] == "cancel"
    assert len(await list_stops(system)) == 1


async def test_resumed_job_goes_on_from_its_last_checkpoint(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    job_id = await bring_to("running", api, app, system, customer)
    await api.post(f"/jobs/{job_id}/pause")
    async with worker_of(api, app, system, job_id) as worker:
        await worker.put("checkpoints/3", b"three")
        await worker.put("checkpoints/4", b"four")
        await worker.finish("stopped")
    await api.post(f"/jobs/{job_id}/resume")
    async with dispatched_worker(api, app, system, job_id) as worker:
        assignment = await worker.claim()
        assert (assignment["attempt"], assignment["checkpoint"]["step"]) == (2, 4)
        body = await worker.api.call("GET", f"/runs/{worker.run_id}/checkpoint", expect=200)
        assert body.content == b"four"


async def test_job_at_its_max_cost_pauses_and_is_not_resumed(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, max_cost="1.00")
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        assert (await worker.beat(300))["command"] == "continue"
        told = await worker.beat(300)
        assert (told["command"], told["reason"]) == ("stop", "limit")
        assert await list_stops(system) == [worker.run_id]
        await worker.finish("stopped")
    job = await api.get(f"/jobs/{job['id']}")
    assert (job["status"], job["cost"]["amount"][:4]) == ("paused", "0.99"), "never more than was promised"
    problem = await api.post(f"/jobs/{job['id']}/resume", expect=402)
    assert problem["type"] == "/problems/max-cost-exceeded"


async def test_waiting_job_pauses_where_another_has_used_the_budget_of_the_month_in_which_it_would_start(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It held some of the budget of the month before: it was started, and told to stop by its first heartbeat."""
    customer = await make_ready_customer(api, monthly_budget="1.00")
    waiting = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    clock.advance(days=32)
    running = await start_job(system, customer, gpu_seconds=500, tokens=0)
    await report_usage(system, running, gpu_seconds=600)
    await dispatch(system, gpus=ENOUGH_DEVICES + 1)
    left = await api.get(f"/jobs/{waiting['id']}")
    assert (left["status"], left["pause_reason"], left["attempts"]) == ("paused", "budget", 0)
    assert await broken_rules(system) == {}


async def test_job_beyond_its_budget_pauses_and_is_not_resumed_while_nothing_is_left(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api, monthly_budget="1.00")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        assert (await worker.beat(600))["reason"] == "budget"
        await worker.finish("preempted")
    assert (await api.get(f"/jobs/{job['id']}"))["status"] == "paused"
    problem = await api.post(f"/jobs/{job['id']}/resume", expect=402)
    assert problem["type"] == "/problems/insufficient-balance"
    assert (await api.post(f"/jobs/{job['id']}/cancel"))["status"] == "cancelled"
    assert await broken_rules(system) == {}
