"""The scheduling cycle on the database: who starts, what the others are told, and two cycles at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event, func, select, text

from broker.jobs.reading import queueing
from broker.jobs.reading.line import list_waiting
from broker.jobs.reading.queueing import WaitNotice
from broker.jobs.running.runs import lose_run
from broker.jobs.service import lock_job
from broker.jobs.tables import Job, Run
from broker.metering.reading.decayed import add_up_decayed
from broker.persistence.outbox import OutboxMessage
from broker.processes.boot import DatabaseUrls
from broker.scheduling.cycle.live import CycleResult, run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.scheduling.cycle.snapshot import KEPT_FOR, read_conditions
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.values.snapshot import Kept
from broker.system import System
from broker.work import Work
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.rows import owner_connection
from tests.broker.worker_calls import worker_of


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def set_pool(system: System, gpus: int, name: str = "test") -> None:
    async with system.work() as work:
        await register_pool(work, name=name, sku="cpu", engine="local", total_gpus=gpus)


@pytest.fixture(autouse=True)
def kept_memory() -> CycleMemory:
    """Keep one memory for all cycles of a test, as a leading process does."""
    MEMORIES[:] = [CycleMemory("test")]
    return MEMORIES[0]


MEMORIES: list[CycleMemory] = []


async def cycle_once(system: System, memory: CycleMemory | None = None) -> CycleResult:
    async with system.work() as work:
        return await run_cycle(work, memory=memory or MEMORIES[0])


async def read_memory(work: Work) -> CycleMemory:
    memory = CycleMemory()
    await memory.catch_up(work)
    return memory


async def submit(api: Api, customer: Customer, **fields: Any) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id, **fields))["id"])


async def read_job(api: Api, job_id: str) -> Any:
    return await api.get(f"/jobs/{job_id}")


async def finish_run(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("succeeded")


async def start_order(system: System) -> list[str]:
    """Jobs in the order in which they were dispatched."""
    async with system.work() as work:
        query = select(Run.job_id).join(OutboxMessage, OutboxMessage.run_id == Run.id).order_by(OutboxMessage.id)
        return list((await work.session.scalars(query.where(OutboxMessage.kind == "launch"))).all())


async def copy_job(system: System, job_id: str, number: int, *, name: str = "copy") -> None:
    """So many more queued jobs like this one, each a second younger than the one before."""
    changed = {
        "id": f"'job_{name}' || lpad(n::text, 6, '0')",
        "created_at": "created_at + n * interval '1 second'",
    }
    columns = [column.name for column in Job.__table__.columns if column.computed is None]
    values = ", ".join(changed.get(name, name) for name in columns)
    copies = f"SELECT {values} FROM jobs, generate_series(1, :number) n WHERE id = :id"
    async with system.work() as work:
        await work.session.execute(
            text(f"INSERT INTO jobs ({', '.join(columns)}) {copies}"), {"number": number, "id": job_id}
        )


@contextmanager
def counted_statements(system: System) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    engine = system.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_cycle_starts_what_fits_and_tells_the_others_why(
    api: Api, system: System, customer: Customer, clock: ManualClock
) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(await submit(api, customer))
        clock.advance(seconds=1)
    await set_pool(system, 1)
    assert await cycle_once(system) == CycleResult(started=1, waiting=2)
    started, second, third = [await read_job(api, job_id) for job_id in jobs]
    assert (started["status"], started["pending_reason"], started["expected_start"]) == ("dispatched", None, None)
    assert second["pending_reason"] == {
        "code": "waiting_for_gpus",
        "message": "Needs 1 GPU; pool test has 0 of 1 free. It is next.",
        "message_zh": "需要 1 张 GPU；资源池 test 共 1 张，空闲 0 张。下一个就轮到它。",
        "next_step": "Nothing: it starts by itself.",
        "next_step_zh": "无需操作：轮到时会自动开始。",
        "evidence": {"gpus": 1, "pool": "test", "free": 0, "total": 1, "ahead": 0},
        "position": 1,
    }
    assert second["latest_start"] > second["expected_start"]
    assert (third["pending_reason"]["code"], third["pending_reason"]["position"]) == ("behind_earlier_jobs", 2)
    expected = timedelta(seconds=started["estimate"]["gpu_seconds"]["p50"])
    starts = [datetime.fromisoformat(job["expected_start"]) for job in (second, third)]
    assert starts == [clock.now + expected, clock.now + 2 * expected]


async def test_job_moves_up_and_starts_when_the_one_before_it_ends(
    api: Api, app: FastAPI, system: System, customer: Customer, clock: ManualClock
) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(await submit(api, customer))
        clock.advance(seconds=1)
    await set_pool(system, 1)
    await cycle_once(system)
    await finish_run(api, app, system, jobs[0])
    assert await cycle_once(system) == CycleResult(started=1, waiting=1)
    assert (await read_job(api, jobs[1]))["status"] == "dispatched"
    assert (await read_job(api, jobs[2]))["pending_reason"]["position"] == 1


async def test_jobs_wait_without_a_pool_and_with_a_closed_one(api: Api, system: System, customer: Customer) -> None:
    job_id = await submit(api, customer)
    await cycle_once(system)
    assert (await read_job(api, job_id))["pending_reason"]["code"] == "no_open_pool"
    await set_pool(system, 1)
    await api.call("PATCH", "/pools/test", json={"open": False}, expect=200)
    await cycle_once(system)
    job = await read_job(api, job_id)
    assert (job["pending_reason"]["code"], job["expected_start"]) == ("no_open_pool", None)
    await api.call("PATCH", "/pools/test", json={"open": True}, expect=200)
    assert await cycle_once(system) == CycleResult(started=1, waiting=0)


async def test_registering_a_pool_again_keeps_it_closed(api: Api, system: System) -> None:
    await set_pool(system, 1)
    await api.call("PATCH", "/pools/test", json={"open": False}, expect=200)
    await set_pool(system, 4)
    pool = await api.get("/pools/test")
    assert (pool["total_gpus"], pool["open"]) == (4, False)


async def test_closed_queue_starts_nothing_and_holds_up_no_other(api: Api, system: System, customer: Customer) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid")
    waiting, free = await submit(api, prepaid), await submit(api, customer)
    await api.call("PATCH", "/queues/priority", json={"open": False}, expect=200)
    await set_pool(system, 1)
    await cycle_once(system)
    assert (await read_job(api, waiting))["pending_reason"]["code"] == "queue_closed"
    assert (await read_job(api, free))["status"] == "dispatched"


async def test_dedicated_goes_before_priority_before_standard(api: Api, system: System, customer: Customer) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid")
    long_term = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    standard = await submit(api, customer)
    lowered = await submit(api, long_term, queue="standard")
    priority = await submit(api, prepaid)
    dedicated = await submit(api, long_term)
    await set_pool(system, 4)
    await cycle_once(system)
    assert await start_order(system) == [dedicated, priority, standard, lowered]


async def test_queue_priority_set_by_ops_counts_in_the_next_cycle(api: Api, system: System, customer: Customer) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid")
    later, first = await submit(api, prepaid), await submit(api, customer)
    await api.call("PATCH", "/queues/standard", json={"priority": 999}, expect=200)
    await set_pool(system, 2)
    await cycle_once(system)
    assert await start_order(system) == [first, later]


async def test_contracts_of_one_priority_take_turns(api: Api, system: System, clock: ManualClock) -> None:
    greedy, modest = await make_ready_customer(api), await make_ready_customer(api)
    jobs = {}
    for name, customer in (("g1", greedy), ("g2", greedy), ("g3", greedy), ("m1", modest), ("m2", modest)):
        jobs[await submit(api, customer)] = name
        clock.advance(seconds=1)
    await set_pool(system, 3)
    await cycle_once(system)
    assert [jobs[job_id] for job_id in await start_order(system)] == ["g1", "m1", "g2"]


async def test_contract_that_holds_devices_waits_for_one_that_holds_none(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    greedy, modest = await make_ready_customer(api), await make_ready_customer(api)
    running = [await submit(api, greedy) for _ in range(2)]
    await set_pool(system, 2)
    await cycle_once(system)
    waiting = await submit(api, greedy)
    clock.advance(seconds=60)
    await set_pool(system, 2)  # its agent is seen
    late = await submit(api, modest)
    await finish_run(api, app, system, running[0])
    await cycle_once(system)
    assert (await read_job(api, late))["status"] == "dispatched"
    assert (await read_job(api, waiting))["status"] == "queued"


async def test_jobs_paused_cancelled_or_ended_are_not_planned(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    paused, cancelled, done = [await submit(api, customer) for _ in range(3)]
    await api.post(f"/jobs/{paused}/pause")
    await api.post(f"/jobs/{cancelled}/cancel")
    await set_pool(system, 8)
    assert await cycle_once(system) == CycleResult(started=1, waiting=0)
    await finish_run(api, app, system, done)
    assert await cycle_once(system) == CycleResult(started=0, waiting=0)


async def test_two_cycles_at_once_never_oversell_a_pool(api: Api, system: System, customer: Customer) -> None:
    await copy_job(system, await submit(api, customer), 19)
    await set_pool(system, 3)
    results = await asyncio.gather(*(cycle_once(system, CycleMemory()) for _ in range(4)))
    assert sum(result.started for result in results) == 3
    async with system.work() as work:
        active = select(func.count()).select_from(Run).where(Run.status == "starting")
        assert await work.session.scalar(active) == 3


async def lose_machine(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    """Claim the job's run, whose machine then falls silent."""
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
    async with system.work() as work:
        await lose_run(work, worker.run_id, "its heartbeats stopped")


async def test_devices_of_a_run_that_is_still_being_stopped_are_not_given_away(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    """Its successor was started beside it, on a device whose memory was still full."""
    job_id = await submit(api, customer)
    await set_pool(system, 1)
    await cycle_once(system)
    await lose_machine(api, app, system, job_id)
    assert await cycle_once(system) == CycleResult(started=0, waiting=1)
    async with system.work() as work:
        await work.session.execute(text("UPDATE outbox SET done_at = now() WHERE kind = 'stop'"))
    assert await cycle_once(system) == CycleResult(started=1, waiting=0)


async def test_job_that_lost_its_machine_goes_first_and_its_devices_are_kept_a_short_while(
    api: Api, app: FastAPI, system: System, customer: Customer, clock: ManualClock
) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid")
    job_id = await submit(api, customer)
    await set_pool(system, 1)
    await cycle_once(system)
    await submit(api, prepaid)  # of the priority queue
    await lose_machine(api, app, system, job_id)
    async with system.work() as work:
        await work.session.execute(text("UPDATE outbox SET done_at = now() WHERE kind = 'stop'"))
    async with system.work() as work:
        kept = (await read_conditions(work, await read_memory(work), UsageReading())).kept
    assert kept == (Kept(job_id, "test", "test", 1, clock.now + KEPT_FOR),)
    assert await cycle_once(system) == CycleResult(started=1, waiting=1)
    assert (await read_job(api, job_id))["status"] == "dispatched"
    clock.advance(seconds=KEPT_FOR.total_seconds())
    async with system.work() as work:
        assert (await read_conditions(work, await read_memory(work), UsageReading())).kept == ()


async def test_job_that_was_paused_since_it_lost_its_machine_takes_its_turn(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await set_pool(system, 1)
    await cycle_once(system)
    await lose_machine(api, app, system, job_id)
    await api.post(f"/jobs/{job_id}/pause")
    await api.post(f"/jobs/{job_id}/resume")
    async with system.work() as work:
        assert [job.expedited_at for job in await list_waiting(work)] == [None]


async def test_stop_of_a_run_that_still_runs_counts_its_devices_once(
    api: Api, system: System, customer: Customer
) -> None:
    stopping, other = await submit(api, customer), await submit(api, customer)
    await set_pool(system, 2)
    await api.post(f"/jobs/{other}/pause")
    await cycle_once(system)
    await api.post(f"/jobs/{stopping}/cancel")
    await api.post(f"/jobs/{other}/resume")
    assert await cycle_once(system) == CycleResult(started=1, waiting=0)


async def test_job_that_is_locked_waits_for_the_next_cycle(api: Api, system: System, customer: Customer) -> None:
    locked, free = await submit(api, customer), await submit(api, customer)
    await set_pool(system, 2)
    async with system.work() as work:
        await lock_job(work, locked)
        assert await cycle_once(system) == CycleResult(started=1, waiting=0)
    assert (await read_job(api, free))["status"] == "dispatched"
    assert await cycle_once(system) == CycleResult(started=1, waiting=0)


async def test_job_that_cannot_be_started_keeps_no_other_from_starting(
    api: Api, system: System, customer: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    """One job whose start broke a constraint ended every cycle, and nobody was started any more."""
    bad, good = await submit(api, customer), await submit(api, customer)
    async with system.work() as work:  # its next attempt is there already
        await register_pool(work, name="earlier")
        work.session.add(_earlier_run(work, await lock_job(work, bad)))
    await set_pool(system, 2)
    assert await cycle_once(system) == CycleResult(started=1, waiting=1, set_aside=1)
    assert f"job {bad} is set aside" in caplog.text
    assert [(await read_job(api, job_id))["status"] for job_id in (bad, good)] == ["queued", "dispatched"]
    assert await start_order(system) == [good]


def _earlier_run(work: Work, job: Job) -> Run:
    used = {"used_gpu_seconds": 0, "used_tokens": 0, "acknowledged_sequence": -1}
    ended = {"status": "lost", "cause": "machine_lost", "lease_expires_at": work.now, "created_at": work.now}
    own = {"id": work.new_id("run"), "customer_id": job.customer_id, "job_id": job.id, "attempt": job.attempts + 1}
    return Run(pool="earlier", gpus=1, **own, **used, **ended)


async def test_thousands_of_waiting_jobs_take_as_many_statements_as_ten(
    api: Api, system: System, customer: Customer, clock: ManualClock
) -> None:
    running, model = await submit(api, customer), await submit(api, customer)
    await set_pool(system, 1)
    await copy_job(system, model, 9)
    assert await cycle_once(system) == CycleResult(started=1, waiting=10)
    assert (await read_job(api, running))["status"] == "dispatched"
    clock.advance(hours=1)
    await set_pool(system, 1)
    with counted_statements(system) as few:
        await cycle_once(system)
    await copy_job(system, model, 3000, name="more")
    clock.advance(hours=1)
    await set_pool(system, 1)
    with counted_statements(system) as many:
        assert await cycle_once(system) == CycleResult(started=0, waiting=3010)
    assert len(many) == len(few)
    while (await cycle_once(system)).pieces_left:
        pass
    assert (await read_job(api, "job_more003000"))["pending_reason"]["position"] == 3010


async def test_unchanged_reasons_are_not_written_again(
    api: Api, system: System, customer: Customer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[WaitNotice] = []

    async def write_waits(_work: Any, waits: list[WaitNotice]) -> set[str]:
        written.extend(waits)
        return {wait.job_id for wait in waits}

    await copy_job(system, await submit(api, customer), 4)
    await set_pool(system, 1)
    await cycle_once(system)
    monkeypatch.setattr(queueing, "write_waits", write_waits)
    clock.advance(seconds=1)
    await cycle_once(system)
    assert written == []
    clock.advance(hours=1)  # the running job takes longer than was thought
    await set_pool(system, 1)
    await cycle_once(system)
    assert len(written) == 4


async def test_reason_of_a_job_that_waits_no_longer_is_not_written(
    api: Api, system: System, customer: Customer
) -> None:
    cancelled, queued = await submit(api, customer), await submit(api, customer)
    await api.post(f"/jobs/{cancelled}/cancel")
    told = {"message_zh": None, "next_step": None, "next_step_zh": None, "evidence": {}}
    reason = {"code": "waiting_for_gpus", "message": "It is next.", **told, "position": 1}
    async with system.work() as work:
        await queueing.write_waits(work, [WaitNotice(job_id, reason, None) for job_id in (cancelled, queued)])
    assert [(await read_job(api, job_id))["pending_reason"] for job_id in (cancelled, queued)] == [None, reason]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_jobs": 1}, "queue_limit"),
        ({"max_gpus": 1}, "queue_limit"),
        ({"allowed_pools": ["test"]}, "waiting_for_gpus"),
    ],
)
async def test_queue_is_tuned_and_the_next_cycle_plans_by_it(
    api: Api, system: System, customer: Customer, limits: dict[str, Any], code: str
) -> None:
    jobs = [await submit(api, customer) for _ in range(2)]
    await set_pool(system, 1 if code == "waiting_for_gpus" else 4)
    await api.call("PATCH", "/queues/standard", json=limits, expect=200)
    assert await cycle_once(system) == CycleResult(started=1, waiting=1)
    waiting = [job for job in [await read_job(api, job_id) for job_id in jobs] if job["status"] == "queued"]
    assert [job["pending_reason"]["code"] for job in waiting] == [code]


async def test_contract_that_used_more_lately_waits_and_old_usage_counts_less(
    api: Api, system: System, urls: DatabaseUrls, clock: ManualClock
) -> None:
    first, second = await make_ready_customer(api), await make_ready_customer(api)
    used = await submit(api, first)
    clock.advance(seconds=1)
    other = await submit(api, second)
    contract = (await read_job(api, used))["contract_id"]
    with owner_connection(urls) as connection:
        connection.execute(
            "INSERT INTO usage_rollups (hour, contract_id, project_id, job_id, source, gpu_type, labels, customer_id,"
            " gpu_seconds, tokens, events) VALUES (%s, %s, '', '', 'x', '', '{}', %s, 7200, 0, 1)",
            [clock() - timedelta(hours=1), contract, first.id],
        )
    async with system.work() as work:
        week = await add_up_decayed(work, timedelta(days=7))
        hour = await add_up_decayed(work, timedelta(hours=1))
    assert hour == {contract: 3600 * 10**6}
    assert 7_100 * 10**6 < week[contract] < 7200 * 10**6
    await set_pool(system, 1)
    assert await cycle_once(system) == CycleResult(started=1, waiting=1)
    assert (await read_job(api, other))["status"] == "dispatched"
