"""What cycles were planned from is recorded by a broker with a real database, and replayed."""

from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from broker.capacity.agents import renew_agent
from broker.jobs.tables import Run
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.recorder import (
    RECORD,
    CycleRecorder,
    forget_records,
    read_records,
)
from broker.scheduling.planning.values.jobs import Preference, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.simulation.recording import Conditions, CycleRecord
from broker.scheduling.simulation.window import read_window
from broker.scheduling.simulation.window_replay import replay_window
from broker.scheduling.tables import RecordedCycle
from broker.system import System
from broker.work import Work
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import make_card, register_pool
from tests.broker.worker_calls import worker_of

JOBS = 10


async def measure_records(work: Work) -> tuple[int, int]:
    """Measure how many records there are, and their bytes."""
    count, size = (
        await work.session.execute(select(func.count(), func.coalesce(func.sum(RecordedCycle.size_bytes), 0)))
    ).one()
    return int(count), int(size)


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def cycle(system: System, recorder: CycleRecorder) -> None:
    """Run a cycle; the agent of the pool, if there is one, has just been heard of."""
    async with system.work() as work:
        await renew_agent(work, make_card(gpus=2))
    async with system.work() as work:
        await run_cycle(work, recorder=recorder)


async def roll_back_cycle(system: System, recorder: CycleRecorder) -> None:
    async with system.work() as work:
        await run_cycle(work, recorder=recorder)
        raise ZeroDivisionError


async def list_starts(system: System) -> list[tuple[datetime, str]]:
    async with system.work() as work:
        rows = await work.session.execute(select(Run.created_at, Run.job_id))
        return sorted((at, job_id) for at, job_id in rows)


async def end_oldest_run(api: Api, app: FastAPI, system: System) -> None:
    async with system.work() as work:
        active = select(Run.job_id).where(Run.ended_at.is_(None)).order_by(Run.created_at, Run.id).limit(1)
        job_id = (await work.session.scalars(active)).one()
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("succeeded")


async def read_all(system: System) -> list[CycleRecord]:
    async with system.work() as work:
        return await read_records(work, work.now - timedelta(days=1), work.now)


async def test_jobs_on_two_slots_start_in_the_replay_in_the_very_cycles_in_which_they_did(
    api: Api, app: FastAPI, system: System, customer: Customer, clock: ManualClock
) -> None:
    recorder = CycleRecorder()
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=2)
    for number in range(JOBS):
        await submit_job(api, customer.dataset["id"], customer_id=customer.id)
        clock.advance(seconds=1 + number % 3)
        await cycle(system, recorder)
    for number in range(JOBS):
        clock.advance(seconds=20 + 7 * (number % 5))
        await end_oldest_run(api, app, system)
        await cycle(system, recorder)
    starts = await list_starts(system)
    assert len(starts) == JOBS
    assert len({at for at, _job_id in starts}) > JOBS / 2, "the proof is one of waiting"
    played = replay_window(read_window(await read_all(system))).turns
    assert sorted((turn.started_at, turn.turn.job.job_id) for turn in played if turn.started_at) == starts
    assert all(turn.turn.ended_at == turn.ended_at for turn in played)


async def test_a_cycle_that_finds_nothing_new_records_nothing(system: System) -> None:
    recorder = CycleRecorder()
    await cycle(system, recorder)
    await cycle(system, recorder)
    async with system.work() as work:
        count, size = await measure_records(work)
    assert count == 1
    assert size > 0


async def test_a_process_that_takes_over_begins_with_a_baseline_and_knows_what_others_record(
    api: Api, system: System, customer: Customer
) -> None:
    ours, theirs = CycleRecorder(), CycleRecorder()
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=2)
    await cycle(system, ours)
    await cycle(system, theirs)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await cycle(system, theirs)
    await cycle(system, ours)
    told = [(record.is_baseline, len(record.waiting), len(record.running)) for record in await read_all(system)]
    assert told == [(True, 0, 0), (True, 0, 0), (False, 1, 0), (False, 0, 1)]


async def test_after_a_cycle_that_was_rolled_back_there_is_a_baseline(system: System) -> None:
    recorder = CycleRecorder()
    await cycle(system, recorder)
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=2)
    with pytest.raises(ZeroDivisionError):
        await roll_back_cycle(system, recorder)
    await cycle(system, recorder)
    assert [record.is_baseline for record in await read_all(system)] == [True, True]


async def test_old_records_are_forgotten_and_young_ones_stay(system: System, clock: ManualClock) -> None:
    await cycle(system, CycleRecorder())
    clock.advance(days=40)
    await cycle(system, CycleRecorder())
    async with system.work() as work:
        before = work.now - timedelta(days=30)
        assert await forget_records(work, before=before, most_bytes=10**6, limit=10) == 1
        assert (await measure_records(work))[0] == 1


async def test_records_beyond_what_all_may_take_are_forgotten_from_the_oldest_on(system: System) -> None:
    for _ in range(4):
        await cycle(system, CycleRecorder())
    async with system.work() as work:
        count, size = await measure_records(work)
        assert count == 4
        long_ago = work.now - timedelta(days=30)
        assert await forget_records(work, before=long_ago, most_bytes=size, limit=10) == 0
        assert await forget_records(work, before=long_ago, most_bytes=size // 2, limit=1) == 1
        assert await forget_records(work, before=long_ago, most_bytes=size // 2, limit=10) == 1
        assert await forget_records(work, before=long_ago, most_bytes=1, limit=10) == 1
        assert (await measure_records(work))[0] == 1


def test_a_record_is_written_and_read_whole() -> None:
    at = datetime.fromisoformat("2026-11-29T10:00:00.123456+00:00")
    shape = Shape(2, (TypeOption("a100", 100, 200, 5), TypeOption(None, 1, 2)), Preference.FASTEST, at)
    record = CycleRecord(
        at=at,
        is_baseline=True,
        conditions=Conditions(
            (PoolState("one", "a100", 4, 3),),
            (QueueState("standard", 100, max_wait=timedelta(hours=2), allowed_pools=frozenset({"one"})),),
        ),
        shares=(ContractShare("con_a", usage=2**60),),
        waiting=(WaitingJob("job_a", "con_a", "standard", shape, at),),
        no_longer_running=("job_b",),
    )
    assert RECORD.validate_json(RECORD.dump_json(record, exclude_defaults=True)) == record
