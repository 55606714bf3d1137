"""Ends of runs that are taken together: the books, the jobs and the answers are those of one after the other."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI
from sqlalchemy import update

from broker import errors
from broker.contracts.tables import Grant
from broker.jobs.rules.model import RunStatus, StopReason
from broker.jobs.running.locked_run import LockedRun, lock_runs
from broker.jobs.service import get_job
from broker.jobs.tables import Job, Run
from broker.system import System
from broker.workers.finishing import EndsAlone, Finish, is_certain, take_finishes
from broker.workers.model import Report, RunEnd
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, worker_api
from tests.broker.running_jobs import RunningJob, broken_rules, read_hold, start_job
from tests.broker.workers.test_heartbeat_batches import make_beat, start_jobs

SEED = random.randrange(2**32)
BAD_INPUT = {"code": "bad_input", "message": "a row is empty"}


def make_finish(
    system: System, job: RunningJob, outcome: RunStatus = RunStatus.FAILED, *, fence_token: int = 1, **used: int
) -> Finish:
    """Make the end of a job's run by its customer's doing, with one interval that ends now."""
    report = make_beat(system, job, **used).report if used else Report()
    return Finish(job.run_id, fence_token, outcome, report, None if outcome == RunStatus.SUCCEEDED else BAD_INPUT)


async def finish_together(system: System, finishes: Sequence[Finish]) -> Sequence[RunEnd | Exception]:
    run_ids = {finish.run_id for finish in finishes}
    async with system.work() as work:
        found = await work.run_together(lock_runs(run_ids, seen_by=None))
        return await take_finishes([(work, finish) for finish in finishes], found)


@dataclass
class Books:
    """What ends led to: of each job its status and costs, and what became of its hold."""

    jobs: list[tuple[Any, ...]]
    holds: list[tuple[Any, ...]]


async def finish_in_batches(api: Api, system: System, used: Sequence[dict[str, int]], sizes: Sequence[int]) -> Books:
    """Report the same ends of runs under one budget, cut into batches of these sizes."""
    customer = await make_ready_customer(api, monthly_budget="0.35")
    jobs = await start_jobs(system, customer, count=len(used), gpu_seconds=20, tokens=200)
    finishes = [make_finish(system, job, **each) for job, each in zip(jobs, used, strict=True)]
    for size in sizes:
        assert all(isinstance(end, RunEnd) for end in await finish_together(system, finishes[:size]))
        finishes = finishes[size:]
    async with system.work() as work:
        rows = [await get_job(work, job.id) for job in jobs]
    holds = [await read_hold(system, job.id) for job in jobs]
    return Books(
        [(row.status, row.used_gpu_seconds, row.used_tokens, row.cost_micros, row.borne_micros) for row in rows],
        [(view.hold.state, [(leg.unit, leg.held, leg.captured, leg.released) for leg in view.legs]) for view in holds],
    )


async def test_the_split_of_ends_into_batches_changes_nothing(api: Api, system: System) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    draws = random.Random(SEED)
    used = [{"gpu_seconds": draws.randrange(40), "tokens": draws.randrange(400)} for _ in range(5)]
    alone = await finish_in_batches(api, system, used, [1] * 5)
    assert await finish_in_batches(api, system, used, [5]) == alone
    assert {state for state, _legs in alone.holds} == {"settled"}
    assert await broken_rules(system) == {}


async def test_end_that_may_not_be_keeps_no_other_from_it(api: Api, system: System) -> None:
    one, stale, alone, unmade = await start_jobs(system, await make_ready_customer(api), count=4)
    ended = await finish_together(
        system,
        [
            make_finish(system, one, tokens=10),
            make_finish(system, stale, fence_token=2),
            Finish("run_unknown", 1, RunStatus.FAILED, Report()),
            Finish(alone.run_id, 1, RunStatus.FAILED, Report()),
            make_finish(system, unmade, RunStatus.SUCCEEDED),
            make_finish(system, one),
        ],
    )
    assert [type(end) for end in ended] == [
        RunEnd,
        errors.StaleFenceToken,
        errors.NotFound,
        EndsAlone,  # an error of nobody's is ours: the house bears what was lost
        errors.IllegalTransition,
        EndsAlone,
    ]
    async with system.work() as work:
        assert [(await get_job(work, job.id)).status for job in (one, alone)] == ["failed", "running"]
    assert await broken_rules(system) == {}


def test_an_end_that_its_last_usage_may_change_is_taken_alone() -> None:
    """A run that stopped by itself pauses its job where the last of its usage reaches a limit: it is not over then."""

    def judge(outcome: RunStatus, stop: StopReason | None = None, claimed_at: datetime | None = START) -> bool:
        return is_certain(LockedRun(Run(claimed_at=claimed_at), Job(stop_requested=stop)), outcome)

    assert judge(RunStatus.SUCCEEDED)
    assert judge(RunStatus.FAILED)
    assert judge(RunStatus.STOPPED, StopReason.CANCEL)
    assert not judge(RunStatus.STOPPED)
    assert not judge(RunStatus.FAILED, claimed_at=None)


async def test_ends_come_together_over_http_and_a_second_telling_changes_nothing(
    api: Api, app: FastAPI, system: System
) -> None:
    jobs = await start_jobs(system, await make_ready_customer(api))

    async def finish(job: RunningJob) -> Any:
        async with worker_api(app, system, job.run_id) as worker:
            body = {"fence_token": 1, "outcome": "failed", "error": BAD_INPUT}
            return await worker.post(f"/runs/{job.run_id}/finish", body)

    first = await asyncio.gather(*map(finish, jobs))
    assert first == [await finish(job) for job in jobs]
    assert {end["job_status"] for end in first} == {"failed"}
    assert await broken_rules(system) == {}


async def test_what_comes_back_of_a_grant_that_is_over_is_settled_after_the_charges(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer: Customer = await make_ready_customer(api, plan="prepaid")
    job = await start_job(system, customer, gpu_seconds=3600)
    async with system.work() as work:
        over = clock.now + timedelta(seconds=1)
        await work.session.execute(update(Grant).where(Grant.contract_id == job.contract_id).values(expires_at=over))
    clock.advance(seconds=2)
    (end,) = await finish_together(system, [make_finish(system, job, gpu_seconds=1, tokens=10)])
    assert isinstance(end, RunEnd)
    assert (await read_hold(system, job.id)).hold.state == "settled"
    assert await broken_rules(system) == {}
