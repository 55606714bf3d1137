"""The time until a job starts, by cause: it adds up, and what no cause is known of is told as such."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from broker.jobs import service as jobs
from broker.jobs.reading.wait_causes import (
    PAUSED,
    UNACCOUNTED,
    Forgotten,
    Segment,
    add_up_causes,
    forget_wait_causes,
    note_ended,
    read_wait,
    split_wait,
)
from broker.jobs.tables import WaitCause
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.pools import register_pool

CAME = datetime(2026, 11, 24, 10, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return CAME + timedelta(minutes=minutes)


def test_a_wait_is_split_by_its_causes_and_what_nobody_knows_is_unaccounted() -> None:
    causes = [("no_open_pool", at(10)), ("behind_earlier_jobs", at(40))]
    known = split_wait(CAME, at(45), causes, "waiting_for_gpus")
    assert [(each.cause, each.seconds) for each in known] == [
        ("no_open_pool", 600),
        ("behind_earlier_jobs", 1800),
        ("waiting_for_gpus", 300),
    ]
    unknown = split_wait(CAME, at(45), causes, None)
    assert add_up_causes(unknown) == {"behind_earlier_jobs": 1800, "no_open_pool": 600, UNACCOUNTED: 300}


def test_a_pause_is_no_wait_for_anything() -> None:
    split = split_wait(CAME, at(30), [("queue_closed", at(20))], "waiting_for_gpus", [(at(15), at(25))])
    assert [(each.cause, each.seconds // 60) for each in split] == [
        ("queue_closed", 15),
        (PAUSED, 5),
        (PAUSED, 5),
        ("waiting_for_gpus", 5),
    ]


@given(
    ends=st.lists(st.integers(-5, 120), max_size=6),
    pauses=st.lists(st.integers(0, 120), max_size=6),
    last=st.sampled_from([None, "waiting_for_gpus"]),
)
def test_segments_follow_each_other_and_add_up_to_the_wait(
    ends: list[int], pauses: list[int], last: str | None
) -> None:
    moments = sorted(set(pauses))
    paired = [(at(begin), at(end)) for begin, end in zip(moments[::2], moments[1::2], strict=False)]
    split = split_wait(CAME, at(100), [(f"cause_{end}", at(end)) for end in sorted(set(ends))], last, paired)
    assert sum((each.ended_at - each.began_at for each in split), timedelta()) == timedelta(minutes=100)
    assert all(one.ended_at == other.began_at for one, other in pairwise(split))
    assert all(isinstance(each, Segment) and each.seconds > 0 for each in split)


async def test_what_a_job_waited_for_is_kept_as_it_changes_and_the_last_of_it_with_its_start(
    api: Api, system: System, clock: Any
) -> None:
    customer = await make_ready_customer(api)
    memory = CycleMemory()
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    await plan(system, memory)
    clock.advance(minutes=5)
    await api.call("PATCH", "/queues/standard", json={"state": "holding"}, expect=200)
    await plan(system, memory)
    clock.advance(minutes=3)
    await api.call("PATCH", "/queues/standard", json={"state": "open"}, expect=200)
    async with system.work() as work:
        waiting = await read_wait(work, await jobs.get_job(work, job_id))
        await register_pool(work, name="test", total_gpus=1)
    await plan(system, memory)
    clock.advance(minutes=9)
    async with system.work() as work:
        job = await jobs.get_job(work, job_id)
        started = await read_wait(work, job)
    assert job.status == "dispatched"
    told = [(each.cause, each.seconds) for each in started]
    assert told == [(each.cause, each.seconds) for each in waiting]
    assert [seconds for _cause, seconds in told] == [300, 180]
    assert told[1][0] == "queue_closed"


async def test_old_causes_are_forgotten_but_for_those_of_jobs_that_wait_or_pause(
    api: Api, system: System, clock: Any
) -> None:
    """Past fault: causes of jobs that wait for long were all that a sweep looked at, and those of paused ones went."""
    customer = await make_ready_customer(api)
    jobs_of = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _ in range(4)]
    for job_id in jobs_of:
        async with system.work() as work:
            await note_ended(work, {job_id: "queue_closed"})
    await api.post(f"/jobs/{jobs_of[1]}/pause")
    await api.post(f"/jobs/{jobs_of[2]}/cancel")
    await api.post(f"/jobs/{jobs_of[3]}/cancel")
    clock.advance(hours=1)
    counts, last = [], 0
    async with system.work() as work:
        untouched = await forget_wait_causes(work, before=work.now - timedelta(hours=2), limit=2)
        while last is not None:
            forgotten = await forget_wait_causes(work, before=work.now, limit=2, after=last)
            counts.append(forgotten.count)
            last = forgotten.last_id
        left = (await work.session.scalars(select(WaitCause.job_id).order_by(WaitCause.id))).all()
    assert untouched == Forgotten(0, None)
    assert (counts, list(left)) == ([0, 2, 0], jobs_of[:2])


async def plan(system: System, memory: CycleMemory) -> None:
    async with system.work() as work:
        await run_cycle(work, memory=memory)
