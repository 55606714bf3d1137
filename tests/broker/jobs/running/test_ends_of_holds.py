"""However a job ends, its hold ends with it: everything that it reserved is captured or released."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs.rules.model import JOB_TRANSITIONS, TERMINAL, JobStatus
from broker.jobs.running.runs import give_back_run, lose_run
from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules, read_hold
from tests.broker.worker_calls import Worker, dispatched_worker, stop_at_a_checkpoint


@dataclass
class Play:
    """A job, and what can be done to it."""

    api: Api
    app: FastAPI
    system: System
    job_id: str

    async def cancel(self) -> None:
        await self.api.post(f"/jobs/{self.job_id}/cancel")

    async def run(self, end: Callable[[Worker], Awaitable[Any]]) -> None:
        async with dispatched_worker(self.api, self.app, self.system, self.job_id) as worker:
            await worker.claim()
            await worker.beat(11)
            await end(worker)

    async def lose(self, worker: Worker) -> None:
        async with self.system.work() as work:
            await lose_run(work, worker.run_id, "gone")

    async def give_back(self, worker: Worker) -> None:
        async with self.system.work() as work:
            await give_back_run(work, worker.run_id)


async def cancel_in_the_queue(play: Play) -> None:
    await play.cancel()


async def cancel_before_it_is_claimed(play: Play) -> None:
    async with dispatched_worker(play.api, play.app, play.system, play.job_id) as worker:
        await play.cancel()
        await play.lose(worker)


async def cancel_while_it_runs(play: Play) -> None:
    async def end(worker: Worker) -> None:
        await play.cancel()
        await worker.finish("stopped")

    await play.run(end)


async def cancel_and_lose(play: Play) -> None:
    async def end(worker: Worker) -> None:
        await play.cancel()
        await play.lose(worker)

    await play.run(end)


async def cancel_while_it_is_paused(play: Play) -> None:
    async def pause(worker: Worker) -> None:
        await play.api.post(f"/jobs/{play.job_id}/pause")
        await stop_at_a_checkpoint(worker)

    await play.run(pause)
    await play.cancel()


async def cancel_after_a_shutdown(play: Play) -> None:
    await play.run(play.give_back)
    await play.cancel()


async def succeed(play: Play) -> None:
    await play.run(lambda worker: worker.finish("succeeded"))


async def fail_by_its_data(play: Play) -> None:
    error = {"code": "bad_input", "message": "no"}
    await play.run(lambda worker: worker.finish("failed", error=error))


async def fail_by_our_doing(play: Play) -> None:
    error = {"code": "out_of_memory", "message": "no"}
    await play.run(lambda worker: worker.finish("failed", error=error))


async def lose_every_attempt(play: Play) -> None:
    for _ in range(play.system.services.settings.max_attempts):
        await play.run(play.lose)


WAYS = {
    cancel_in_the_queue: "cancelled",
    cancel_before_it_is_claimed: "cancelled",
    cancel_while_it_runs: "cancelled",
    cancel_and_lose: "cancelled",
    cancel_while_it_is_paused: "cancelled",
    cancel_after_a_shutdown: "cancelled",
    succeed: "succeeded",
    fail_by_its_data: "failed",
    fail_by_our_doing: "failed",
    lose_every_attempt: "failed",
}


@pytest.mark.parametrize("end", WAYS, ids=lambda end: end.__name__)
async def test_nothing_is_held_once_a_job_is_over(
    api: Api, app: FastAPI, system: System, end: Callable[[Play], Awaitable[None]]
) -> None:
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="10.00")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await end(Play(api, app, system, job["id"]))
    assert (await api.get(f"/jobs/{job['id']}"))["status"] == WAYS[end]
    hold = await read_hold(system, job["id"])
    assert (hold.hold.state, [leg.held - leg.captured - leg.released for leg in hold.legs]) == (
        "settled",
        [0] * len(hold.legs),
    )
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert (balance["held_gpu_seconds"], balance["held_tokens"], balance["held_money"]["amount"]) == (0, 0, "0.00")
    assert await broken_rules(system) == {}


def test_every_status_that_a_job_can_end_from_is_played() -> None:
    """So that a new way to end a job is not forgotten here."""
    last = {before for before, after in JOB_TRANSITIONS.items() if after & TERMINAL}
    assert last == {JobStatus.QUEUED, JobStatus.DISPATCHED, JobStatus.RUNNING, JobStatus.PAUSED}
