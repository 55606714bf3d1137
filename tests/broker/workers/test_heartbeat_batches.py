"""Heartbeats that are taken together: the same as one after the other, each with its own answer."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI, Response
from sqlalchemy import text

from broker import errors
from broker.http.caller import Caller
from broker.jobs.service import get_job
from broker.metering.events.model import UsageCloudEvent
from broker.system import System
from broker.work import Actor, Role, Work
from broker.workers.heartbeat import Beat, take_heartbeats
from broker.workers.heartbeat_batches import collect_heartbeats
from broker.workers.joint_reports import Call
from broker.workers.model import Instruction, Report
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job, usage_event, worker_api
from tests.broker.running_jobs import RunningJob, broken_rules, read_hold, start_job

Used = tuple[int, int, int]  # which of the jobs, GPU-seconds, tokens
SEED = random.randrange(2**32)


def make_beat(system: System, job: RunningJob, *, gpu_seconds: int = 1, tokens: int = 10, fence_token: int = 1) -> Beat:
    """Make the next heartbeat of a job's run, with one interval that ends now."""
    now = system.services.clock()
    told = usage_event(job.run_id, job.sequence, gpu_seconds=gpu_seconds, tokens=tokens, started_at=now, ended_at=now)
    job.sequence += 1
    return Beat(job.run_id, fence_token, Report(usage=[UsageCloudEvent.model_validate(told)]))


async def beat_together(system: System, beats: Sequence[Beat]) -> list[Instruction | errors.DomainError]:
    async with system.work() as work:
        return await take_heartbeats(work, beats)


async def start_jobs(system: System, customer: Customer, count: int = 3, **fields: Any) -> list[RunningJob]:
    return [await start_job(system, customer, **fields) for _ in range(count)]


async def test_heartbeats_taken_together_are_each_answered_and_charged(api: Api, system: System) -> None:
    jobs = await start_jobs(system, await make_ready_customer(api))
    beats = [make_beat(system, job, tokens=100 * number) for number, job in enumerate(jobs, start=1)]
    answers = await beat_together(system, beats)
    async with system.work() as work:
        rows = [await get_job(work, job.id) for job in jobs]
    assert [(row.used_gpu_seconds, row.used_tokens) for row in rows] == [(1, 100), (1, 200), (1, 300)]
    assert [row.cost_micros for row in rows] == [answer.cost.micros for answer in answers]
    assert await broken_rules(system) == {}


async def test_heartbeat_that_may_not_report_keeps_no_other_from_it(api: Api, system: System) -> None:
    one, other, stale = await start_jobs(system, await make_ready_customer(api))
    foreign = make_beat(system, other)
    beats = [
        make_beat(system, one),
        make_beat(system, stale, fence_token=2),
        Beat("run_unknown", 1, Report()),
        Beat(one.run_id, 1, foreign.report),
        make_beat(system, one),
    ]
    answers = await beat_together(system, beats)
    assert [type(answer) for answer in answers] == [
        Instruction,
        errors.StaleFenceToken,
        errors.NotFound,
        errors.InvalidRequest,
        Instruction,
    ]
    assert answers[-1].acknowledged_sequence == 1
    assert await broken_rules(system) == {}


async def test_heartbeat_sent_twice_at_once_is_charged_once(api: Api, system: System) -> None:
    job = await start_job(system, await make_ready_customer(api))
    beat = make_beat(system, job, tokens=70)
    first, second = await beat_together(system, [beat, beat])
    assert first == second
    async with system.work() as work:
        assert (await get_job(work, job.id)).used_tokens == 70
    assert await broken_rules(system) == {}


async def test_budget_is_not_exceeded_by_runs_that_report_together(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, monthly_budget="0.50")
    jobs = await start_jobs(system, customer, count=4, gpu_seconds=0, tokens=0)
    answers = await beat_together(system, [make_beat(system, job, gpu_seconds=0, tokens=2000) for job in jobs])
    assert [answer.stop_reason for answer in answers] == [None, None, "budget", "budget"]
    async with system.work() as work:
        rows = [await get_job(work, job.id) for job in jobs]
    assert sum(row.cost_micros for row in rows) <= 500_000
    assert sum(row.cost_micros + row.borne_micros for row in rows) == 960_000
    assert await broken_rules(system) == {}


@dataclass
class Outcome:
    """What heartbeats led to: the last answers, and what the jobs' books say."""

    stops: list[Any]
    costs: list[tuple[int, int, int, int]]
    legs: list[list[tuple[Any, ...]]]


async def report_in_batches(api: Api, system: System, used: Sequence[Used], sizes: Sequence[int]) -> Outcome:
    """Report the same usage of three jobs under one budget, cut into batches of these sizes."""
    customer = await make_ready_customer(api, monthly_budget="0.35")
    jobs = await start_jobs(system, customer, gpu_seconds=20, tokens=500)
    beats = [make_beat(system, jobs[which], gpu_seconds=seconds, tokens=tokens) for which, seconds, tokens in used]
    answers: list[Any] = []
    for size in sizes:
        answers += await beat_together(system, beats[:size])
        beats = beats[size:]
    async with system.work() as work:
        rows = [await get_job(work, job.id) for job in jobs]
    holds = [await read_hold(system, job.id) for job in jobs]
    return Outcome(
        [answer.stop_reason for answer in answers],
        [(row.used_gpu_seconds, row.used_tokens, row.cost_micros, row.borne_micros) for row in rows],
        [[(leg.unit, leg.borne, leg.billable, leg.held, leg.captured) for leg in hold.legs] for hold in holds],
    )


@pytest.mark.parametrize("example", range(3))
async def test_the_split_into_batches_changes_nothing(api: Api, system: System, example: int) -> None:
    print(f"seed {SEED}, example {example}")  # noqa: T201 (shown when it fails)
    draws = random.Random(f"{SEED} {example}")
    used = [(draws.randrange(3), draws.randrange(40), draws.randrange(400)) for _ in range(draws.randint(4, 9))]
    size = draws.randint(2, 4)
    alone = await report_in_batches(api, system, used, [1] * len(used))
    assert await report_in_batches(api, system, used, [len(used)]) == alone
    assert await report_in_batches(api, system, used, [size] * len(used)) == alone
    assert await broken_rules(system) == {}


async def beat_over_http(api: Api, app: FastAPI, system: System, job: RunningJob) -> Any:
    beat = make_beat(system, job)
    usage = [event.to_json() for event in beat.report.usage]
    async with worker_api(app, system, job.run_id) as worker:
        return await worker.call("POST", f"/runs/{job.run_id}/heartbeats", json={"fence_token": 1, "usage": usage})


async def test_run_whose_heartbeat_fails_sinks_no_other_of_its_batch(api: Api, app: FastAPI, system: System) -> None:
    jobs = await start_jobs(system, await make_ready_customer(api))
    async with system.work() as work:
        await work.session.execute(text("UPDATE jobs SET estimate = '[]' WHERE id = :id"), {"id": jobs[1].id})
    answers = await asyncio.gather(*(beat_over_http(api, app, system, job) for job in jobs))
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert await broken_rules(system) == {}


def call_as(app: FastAPI, system: System, job: RunningJob, customer: Customer, beat: Beat) -> Call:
    """Make the call of a run of a customer, with a heartbeat of its own or not."""
    actor, turnstile = Actor(Role.RUN, job.run_id, customer.id), app.state.turnstile
    return Call(
        Caller(actor, system.services, system.database, turnstile, None, AsyncExitStack(), record_nothing), beat
    )


async def record_nothing(_work: Work, _response: Response) -> None:
    """Record nothing: no run decides as staff do."""


async def test_heartbeats_of_several_customers_are_one_batch_and_each_is_charged_to_its_own(
    api: Api, app: FastAPI, system: System
) -> None:
    customers = [await make_ready_customer(api, monthly_budget=budget) for budget in ("50.00", None)]
    jobs = [(each, job) for each in customers for job in await start_jobs(system, each, count=2)]
    calls = [call_as(app, system, job, each, make_beat(system, job, tokens=100)) for each, job in jobs]
    costs = [
        answer.cost.micros
        for answer in await collect_heartbeats(1.0).take_together(calls)
        if isinstance(answer, Instruction)
    ]
    async with system.work() as work:
        rows = [await get_job(work, job.id) for _customer, job in jobs]
    assert [row.used_tokens for row in rows] == [100] * 4
    assert [row.cost_micros for row in rows] == costs
    assert await broken_rules(system) == {}


async def test_run_of_another_customer_in_the_same_batch_is_not_found(api: Api, app: FastAPI, system: System) -> None:
    own, other = [await make_ready_customer(api) for _ in range(2)]
    mine, theirs = [await start_job(system, each) for each in (own, other)]
    calls = [
        call_as(app, system, theirs, other, make_beat(system, theirs)),
        call_as(app, system, mine, own, Beat(theirs.run_id, 1, Report())),
    ]
    assert [type(answer) for answer in await collect_heartbeats(1.0).take_together(calls)] == [
        Instruction,
        errors.NotFound,
    ]


async def test_heartbeats_and_cancellations_and_ends_at_once_wait_for_no_other_for_ever(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api, monthly_budget="50.00")
    jobs = await start_jobs(system, customer, count=6)

    async def finish(job: RunningJob) -> Any:
        async with worker_api(app, system, job.run_id) as worker:
            return await worker.call(
                "POST", f"/runs/{job.run_id}/finish", json={"fence_token": 1, "outcome": "stopped"}
            )

    answers = await asyncio.gather(
        *(beat_over_http(api, app, system, job) for job in jobs),
        *(api.call("POST", f"/jobs/{job.id}/cancel") for job in jobs[:3]),
        *(finish(job) for job in jobs[3:5]),
        *(submit_job(api, customer.dataset["id"], customer_id=customer.id) for _ in range(2)),
        *(beat_over_http(api, app, system, job) for job in jobs[5:]),
    )
    statuses = [answer.status_code for answer in answers if not isinstance(answer, dict)]
    assert set(statuses) <= {200, 409}, statuses
    assert await broken_rules(system) == {}
