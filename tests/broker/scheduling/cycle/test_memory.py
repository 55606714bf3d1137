"""What a process remembers of the line is what the database has, in whatever order changes are committed."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from broker.jobs.reading.line import list_waiting, read_line, read_told
from broker.jobs.reading.queueing import WaitNotice
from broker.jobs.service import Job, lock_job
from broker.scheduling.cycle import live
from broker.scheduling.cycle import memory as cycle_memory
from broker.scheduling.cycle.leading import Lead, Standing, compute_lead, find_lead, give_up_lead, renew_lead
from broker.scheduling.cycle.live import CycleResult, run_cycle
from broker.scheduling.cycle.memory import TOLD_EVERY, CycleMemory, Untold
from broker.scheduling.cycle.snapshot import describe_waiting, read_conditions
from broker.scheduling.cycle.usage import UsageReading
from broker.scheduling.planning.books.nodes import name_nodes
from broker.scheduling.planning.planner import Planner
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.pools import register_pool

SEED = random.randrange(2**32)


async def catch_up(system: System, memory: CycleMemory) -> set[str]:
    async with system.work() as work:
        await memory.catch_up(work)
        return set(memory.jobs)


async def cycle(system: System, memory: CycleMemory) -> CycleResult:
    async with system.work() as work:
        return await run_cycle(work, memory=memory)


async def set_pool(system: System, gpus: int) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=gpus)


async def test_a_change_that_is_committed_after_a_later_one_is_not_missed(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    early, late = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _ in range(2)]
    memory = CycleMemory()
    async with system.work() as slow:  # it draws its number first, and is committed last
        (await lock_job(slow, early)).finish_by = slow.now + timedelta(days=1)
        await slow.session.flush()
        async with system.work() as fast:
            (await lock_job(fast, late)).finish_by = fast.now + timedelta(days=2)
        assert await catch_up(system, memory) == {early, late}
        assert memory.jobs[early].placement.finish_by is None
    await catch_up(system, memory)
    found = [memory.jobs[job_id].placement.finish_by for job_id in (early, late)]
    now = system.services.clock()
    assert found == [now + timedelta(days=1), now + timedelta(days=2)]


async def test_late_usage_is_told_of_a_job_that_waits_and_of_no_other(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    for _number in range(2):
        await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await set_pool(system, 1)
    assert (await cycle(system, CycleMemory())).started == 1
    memory = CycleMemory()
    (late,) = await catch_up(system, memory)
    async with system.work() as work:
        before = {job.id: job.changed_in for job in await work.session.scalars(select(Job))}
        for job_id in before:
            (await lock_job(work, job_id)).used_gpu_seconds += 7
    async with system.work() as work:
        after = {job.id: job.changed_in for job in await work.session.scalars(select(Job))}
    assert {job_id for job_id in before if before[job_id] != after[job_id]} == {late}
    assert await catch_up(system, memory) == {late}
    assert memory.jobs[late].used_gpu_seconds == 7


async def test_after_a_restore_the_line_is_read_anew_and_old_rows_are_not_read_by_each_cycle(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    memory, further_on = CycleMemory(read_from=10**15), text("UPDATE jobs SET changed_in = 1000000000000000")
    async with system.work() as work:
        await work.session.execute(further_on)
    assert await catch_up(system, memory) == {job_id}
    async with system.work() as work:
        assert not (await read_line(work, memory.read_from)).waiting
    await api.call("POST", f"/jobs/{job_id}/pause")
    assert await catch_up(system, memory) == set()


async def test_a_lead_that_another_has_taken_is_not_renewed(api: Api, system: System, clock: ManualClock) -> None:
    await cycle(system, CycleMemory("one"))
    clock.advance(seconds=4)
    await cycle(system, CycleMemory("two"))
    async with system.work() as work:
        await renew_lead(work, "one", Standing(Lead.OURS))  # so it stood when it looked
        assert await find_lead(work, "two") is Lead.OURS


@pytest.mark.parametrize(("cycle", "took", "lead"), [(1.0, 0, 3), (1.0, 5, 13), (1.0, 99, 30), (60.0, 5, 180)])
def test_lead_holds_until_its_process_has_looked_again(cycle: float, took: int, lead: int) -> None:
    assert compute_lead(cycle, timedelta(seconds=took)) == timedelta(seconds=lead)


async def test_one_process_plans_and_another_takes_over_once_its_lead_is_over(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    leading, standing_by = CycleMemory("one"), CycleMemory("two")
    assert (await cycle(system, leading)).waiting == 1
    assert (await cycle(system, standing_by)).waiting == 0
    clock.advance(seconds=4)
    assert (await cycle(system, standing_by)).waiting == 1
    assert (await cycle(system, leading)).waiting == 0
    async with system.work() as work:  # it stops
        await give_up_lead(work, "two")
    assert (await cycle(system, leading)).waiting == 1


async def test_who_has_just_read_a_long_line_plans_before_it_tells(
    api: Api, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    jobs = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _ in range(3)]
    monkeypatch.setattr(live, "LONG_LINE", 2)
    memory = CycleMemory("one")
    result = await cycle(system, memory)
    assert (result.waiting, result.has_told) == (3, False)
    assert [(await api.get(f"/jobs/{job_id}"))["pending_reason"] for job_id in jobs] == [None] * 3
    assert (await cycle(system, memory)).has_told
    reasons = [(await api.get(f"/jobs/{job_id}"))["pending_reason"]["code"] for job_id in jobs]
    assert reasons == ["no_open_pool"] * 3


async def test_a_long_line_is_told_piece_by_piece_the_first_first_and_who_has_left_it_is_not(
    api: Api, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past fault: the first cycle on 10,000 jobs told all of them, and no other job was started for eight seconds."""
    customer = await make_ready_customer(api)
    jobs = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _ in range(4)]
    monkeypatch.setattr(cycle_memory, "SHORT_LINE", 1)
    memory = CycleMemory("one")

    async def tell_some() -> tuple[bool, int, list[bool]]:
        result = await cycle(system, memory)
        told = [(await api.get(f"/jobs/{job_id}"))["pending_reason"] is not None for job_id in jobs]
        return result.has_told, result.pieces_left, told

    assert await tell_some() == (True, 3, [True, False, False, False])
    await api.post(f"/jobs/{jobs[1]}/pause")
    assert await tell_some() == (True, 1, [True, False, True, False])
    assert await tell_some() == (True, 0, [True, False, True, True])
    memory.told_at = None
    assert (await cycle(system, memory)).has_told


def test_who_is_told_something_newer_is_not_told_what_was_worked_out_before() -> None:
    """Past fault: a job that was set aside while a long line was told kept the reason of before."""
    older, newer = ([WaitNotice(job_id, {"code": code}, None) for job_id in ("a", "b")] for code in ("old", "new"))
    untold = Untold()
    untold.add(older)
    untold.add(newer[1:])
    assert untold.take(is_whole=True) == [newer[1], older[0]]


async def test_where_nothing_has_changed_nobody_is_told_anew_before_time_could_move_a_date(
    api: Api, system: System, clock: ManualClock
) -> None:
    """Past fault: each idle cycle explained the whole line, and forecast it four times."""
    customer = await make_ready_customer(api)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    memory, told = CycleMemory("one"), []
    for passed in (0, 1, TOLD_EVERY.total_seconds()):
        clock.advance(seconds=passed)
        told.append((await cycle(system, memory)).has_told)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    told.append((await cycle(system, memory)).has_told)
    assert told == [True, False, True, True]


async def test_who_was_locked_while_all_were_told_is_told_by_the_next_cycle(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    memory = CycleMemory("one")
    async with system.work() as other:
        await lock_job(other, job_id)
        await cycle(system, memory)
    assert (await api.get(f"/jobs/{job_id}"))["pending_reason"] is None
    await cycle(system, memory)
    assert (await api.get(f"/jobs/{job_id}"))["pending_reason"]["code"] == "no_open_pool"


async def test_a_job_that_left_the_line_and_came_back_is_told_anew(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    memory = CycleMemory("one")
    await cycle(system, memory)
    for change in ("pause", "resume"):
        await api.post(f"/jobs/{job_id}/{change}")
    await cycle(system, memory)
    assert (await api.get(f"/jobs/{job_id}"))["pending_reason"]["code"] == "no_open_pool"


async def test_after_random_changes_the_memory_plans_as_one_that_has_just_begun(
    api: Api, system: System, clock: ManualClock
) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    draws = random.Random(SEED)
    customers = [await make_ready_customer(api) for _ in range(2)]
    memory, jobs = CycleMemory("test"), list[str]()

    async def change() -> Any:
        clock.advance(seconds=draws.randrange(9))
        match draws.randrange(5):
            case 0 | 1:
                customer = draws.choice(customers)
                jobs.append((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])
            case 2:
                await set_pool(system, draws.randrange(1, 4))
            case 3 if jobs:
                await api.call("POST", f"/jobs/{draws.choice(jobs)}/{draws.choice(['pause', 'resume', 'cancel'])}")
            case _:
                await cycle(system, memory)

    for _step in range(25):
        await change()
    async with system.work() as work:
        await memory.catch_up(work)
        waiting = tuple(map(describe_waiting, await list_waiting(work)))
        conditions = await read_conditions(work, memory, UsageReading())
        memory.following.follow(conditions, memory.tell_planner(()))
        told = await read_told(work)
    snapshot = replace(conditions, waiting=waiting, pools=name_nodes(conditions))
    assert memory.told is None or memory.told == told
    assert memory.following.waiting == {job.job_id: job for job in waiting}
    assert memory.following.planner.plan(clock.now) == Planner.of(snapshot).plan(clock.now)
