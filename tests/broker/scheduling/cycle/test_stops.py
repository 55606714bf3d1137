"""Runs that make room for a guarantee: told once, queued again with their age; what they leave is kept, and told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from broker.jobs.reading.evictions import LateEviction
from broker.jobs.reading.queueing import DeviceHolder
from broker.jobs.reading.stoppable import StopFacts
from broker.jobs.running.evictions import find_grace, stop_beyond_quota
from broker.jobs.service import lock_job
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.metrics import QueueCollector, QueueReading
from broker.scheduling.cycle.quotas import choose_beyond, is_lower
from broker.scheduling.cycle.stops import bound_stops, list_freed, weigh_run
from broker.scheduling.planning.values.jobs import RunningJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import QueueLimits
from broker.scheduling.planning.values.snapshot import Kept
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, Customer, customer_api, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import stop_at_a_checkpoint, worker_of

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=60)
LEAST_RUN = timedelta(minutes=10)


def evicted(number: int, minutes_ago: int, ended: int | None = None, **fields: Any) -> LateEviction:
    at, ended_at = NOW - timedelta(minutes=minutes_ago), None if ended is None else NOW - timedelta(minutes=ended)
    facts = {"for_job_id": "job_own", "pool": "one", "node": "n1", "kept_gpus": 2, **fields}
    return LateEviction(f"job_{number}", f"run_{number}", created_at=at, ended_at=ended_at, **facts)


def test_stops_of_the_last_hour_count_against_the_rate_of_their_pool() -> None:
    pools = [PoolState(name, "a100", 4, 0) for name in ("one", "two")]
    late = [evicted(1, 61), evicted(2, 59), evicted(3, 1), evicted(4, 1)]
    bounded = bound_stops(pools, late, NOW, 3, LEAST_RUN)
    assert [pool.preemptions_left for pool in bounded] == [0, 3]
    assert bound_stops(pools, late, NOW, 2, LEAST_RUN)[0].preemptions_left == 0, "never below zero"
    assert {pool.least_run for pool in bounded} == {LEAST_RUN}


def test_what_ops_has_set_for_a_pool_bounds_its_stops_in_the_place_of_what_holds_everywhere() -> None:
    own = PoolState("one", "a100", 4, 0, own_stops_per_hour=2, own_least_run=timedelta(0))
    bounded = bound_stops([own, PoolState("two", "a100", 4, 0)], [evicted(1, 1)], NOW, 12, LEAST_RUN)
    assert [(pool.preemptions_left, pool.least_run) for pool in bounded] == [(1, timedelta(0)), (12, LEAST_RUN)]


@pytest.mark.parametrize(
    ("late", "running", "kept"),
    [
        ([evicted(1, 9)], {"job_1"}, Kept("job_own", "one", "n1", 2, NOW - timedelta(minutes=6), ("job_1",))),
        ([evicted(1, 9, 1)], {"run_1"}, Kept("job_own", "one", "n1", 2, NOW - timedelta(minutes=6), ("run_1",))),
        ([evicted(1, 9, 1)], {"job_1"}, Kept("job_own", "one", "n1", 2, NOW + timedelta(minutes=1))),
        (
            [evicted(1, 1, 0), evicted(2, 1)],
            {"job_2"},
            Kept("job_own", "one", "n1", 2, NOW + timedelta(minutes=2), ("job_2",)),
        ),
        ([evicted(9, 50, 49), evicted(1, 9, 1)], (), Kept("job_own", "one", "n1", 2, NOW + timedelta(minutes=1))),
    ],
)
def test_what_is_freed_is_kept_until_the_last_victim_has_gone_and_two_minutes(
    late: list[LateEviction], running: set[str], kept: Kept
) -> None:
    assert list_freed(late, {"job_own"}, running, GRACE) == [kept]
    assert list_freed(late, {"job_other"}, running, GRACE) == []


def test_run_is_weighed_by_what_it_would_lose() -> None:
    run = RunningJob("job_1", "con_1", "one", 2, NOW, NOW)
    facts = StopFacts(NOW, 100, is_stopping=False, checkpoint_at=NOW, rate_micros=7)
    weighed = weigh_run(run, {"job_1": facts})
    assert (weighed.seconds_done, weighed.rate_micros, weighed.checkpoint_at) == (50, 7, NOW)
    assert weigh_run(run, {}).is_stopping, "its run has ended, and its processes are being stopped"


async def serve_pool(system: System) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=2)


async def guarantee(api: Api, system: System, gpus: int = 2) -> Customer:
    await serve_pool(system)
    wanted = [{"gpu_type": "cpu", "gpus": gpus, "monthly_price": "100.00"}]
    return await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000, guaranteed_gpus=wanted)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def cycle(system: System) -> None:
    await serve_pool(system)  # its agent was seen just now
    async with system.work() as work:
        await run_cycle(work)


async def test_guarantee_takes_back_what_was_lent_and_the_card_tells_it(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    owner, other = await guarantee(api, system), await make_ready_customer(api)
    lent = [await submit(api, other) for _number in range(2)]
    await cycle(system)
    clock.advance(seconds=700)
    own = await submit(api, owner)
    await cycle(system)
    jobs = [await api.get(f"/jobs/{job_id}") for job_id in lent]
    (victim,) = [job for job in jobs if job["stop_requested"] == "preempt"]
    waiting = await api.get(f"/jobs/{own}")
    assert waiting["pending_reason"]["code"] == "making_room"
    (saving,) = victim["evictions"]
    assert (saving["by"], saving["paid_by"], saving["ended_at"]) == ("a guaranteed contract", None, None)

    async with worker_of(api, app, system, victim["id"]) as worker:
        await worker.claim()
        told = await worker.beat(5)
        assert (told["command"], told["reason"]) == ("stop", "preempt")
        async with system.work() as work:
            assert await find_grace(work, worker.run_id) == 60
        clock.advance(seconds=300)  # it is slower than its grace: nobody else is named beside it
        await cycle(system)
        stopping = [(await api.get(f"/jobs/{job_id}"))["stop_requested"] for job_id in lent]
        assert sorted(filter(None, stopping)) == ["preempt"]
        await stop_at_a_checkpoint(worker)
    async with system.work() as work:
        await work.session.execute(text("UPDATE outbox SET done_at = now() WHERE kind = 'stop'"))
    await cycle(system)
    started, evicted_job = await api.get(f"/jobs/{own}"), await api.get(f"/jobs/{victim['id']}")
    assert (started["status"], evicted_job["status"]) == ("dispatched", "queued")
    (card,) = evicted_job["evictions"]
    assert (card["for_contract_id"], card["paid_by"], card["lost_gpu_seconds"]) == (owner.contract["id"], "nobody", 0)
    assert (card["price"]["amount"], card["other_price"]["amount"]) == ("6.80", "4.00")
    async with customer_api(api, other.id) as customer:
        (seen,) = (await customer.get(f"/jobs/{victim['id']}"))["evictions"]
    assert (seen["for_contract_id"], seen["for_job_id"], seen["expected_loss"]) == (None, None, None)
    assert owner.id not in str(seen), "no other customer is named"
    assert "a guaranteed contract" in seen["message"]
    assert await broken_rules(system) == {}

    registry, reading = CollectorRegistry(), QueueReading()
    await reading.refresh(system)
    registry.register(QueueCollector(reading))
    assert b'broker_evictions_total{cause="preempted",reason="guarantee"} 1.0' in generate_latest(registry)


def holds(number: int, gpus: int = 1) -> DeviceHolder:
    began = NOW + timedelta(minutes=number)
    return DeviceHolder(f"job_{number}", "con_1", "one", None, gpus, began, 60, queue="standard")


@pytest.mark.parametrize(
    ("limits", "stopped"),
    [
        (QueueLimits(), []),
        (QueueLimits(jobs=2), ["job_3"]),
        (QueueLimits(gpus=5), ["job_2"]),
        (QueueLimits(gpus=4), ["job_3", "job_2"]),
        (QueueLimits(jobs=1, gpus=99), ["job_3", "job_2"]),
    ],
)
def test_who_began_last_stops_where_more_runs_than_a_lowered_quota_allows(
    limits: QueueLimits, stopped: list[str]
) -> None:
    running = [holds(3), holds(1, gpus=4), holds(2, gpus=2)]
    assert [each.job_id for each in choose_beyond(running, limits)] == stopped


def test_quota_is_lowered_where_there_was_none_or_a_higher_one() -> None:
    assert is_lower(QueueLimits(jobs=2), QueueLimits())
    assert is_lower(QueueLimits(gpus=2), QueueLimits(jobs=1, gpus=3))
    assert not is_lower(QueueLimits(jobs=2), QueueLimits(jobs=2))
    assert not is_lower(QueueLimits(), QueueLimits(jobs=2))


async def test_lowered_quota_has_a_job_save_and_wait_and_the_house_pays_what_it_lost(
    api: Api, app: FastAPI, system: System
) -> None:
    await serve_pool(system)
    customer = await make_ready_customer(api)
    first, last = [await submit(api, customer) for _number in range(2)]
    await cycle(system)
    lowered = (await api.call("PATCH", "/queues/standard", expect=200, json={"max_jobs": 1})).json()
    again = (await api.call("PATCH", "/queues/standard", expect=200, json={"max_jobs": 1})).json()
    (stopping,) = lowered["stopping"]
    assert (stopping in {first, last}, again["stopping"]) == (True, [])
    async with worker_of(api, app, system, stopping) as worker:
        await worker.claim()
        assert (await worker.beat(7))["reason"] == "quota"
        await worker.finish("stopped")
    job = await api.get(f"/jobs/{stopping}")
    assert (job["status"], job["borne_gpu_seconds"], job["cost"]["amount"]) == ("queued", 7, "0.00")
    (card,) = job["evictions"]
    assert (card["reason"], card["other_price"], card["paid_by"]) == ("quota", None, "house")
    assert card["by"] == "a lowered limit of its queue or contract, which operations set"
    await cycle(system)
    assert (await api.get(f"/jobs/{stopping}"))["pending_reason"]["code"] == "queue_limit"
    assert await broken_rules(system) == {}


async def test_run_whose_job_is_locked_for_a_moment_is_waited_for_when_a_quota_is_lowered(
    api: Api, system: System
) -> None:
    await serve_pool(system)
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    await cycle(system)

    async def stop() -> bool:
        async with system.work() as work:
            return await stop_beyond_quota(work, job_id)

    async with system.work() as work:
        await lock_job(work, job_id)
        stopping = asyncio.create_task(stop())
        assert not (await asyncio.wait({stopping}, timeout=0.1))[0], "nobody would come back to it"
    assert await stopping


async def test_who_is_stopping_anyway_has_nobody_else_stop_for_a_lowered_quota(api: Api, system: System) -> None:
    await serve_pool(system)
    customer = await make_ready_customer(api)
    jobs = [await submit(api, customer) for _number in range(2)]
    await cycle(system)
    await api.call("POST", f"/jobs/{min(jobs)}/cancel")
    assert (await api.call("PATCH", "/queues/standard", expect=200, json={"max_jobs": 1})).json()["stopping"] == []


async def test_lending_limit_leaves_the_rest_of_a_guarantee_idle(api: Api, system: System) -> None:
    owner, other = await guarantee(api, system), await make_ready_customer(api)
    queue = f"dedicated:{owner.contract['id']}"
    await api.call("PATCH", f"/queues/{queue}", expect=200, json={"lending_limit": 1})
    refused = (await api.call("PATCH", "/queues/standard", expect=422, json={"lending_limit": 1})).json()
    assert refused["errors"][0]["field"] == "lending_limit"
    lent = [await submit(api, other) for _number in range(2)]
    await cycle(system)
    jobs = [await api.get(f"/jobs/{job_id}") for job_id in lent]
    assert sorted(job["status"] for job in jobs) == ["dispatched", "queued"]
    reasons = [job["pending_reason"]["code"] for job in jobs if job["pending_reason"]]
    assert reasons == ["guaranteed_to_others"]


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [({}, None), ({"stops_per_hour": 0}, "waiting_for_gpus"), ({"least_run_seconds": 701}, "waiting_for_gpus")],
)
async def test_pool_by_remaining_service_stops_who_needs_twice_as_much_and_tells_both_unless_ops_bounds_it(
    api: Api, system: System, clock: ManualClock, bounds: dict[str, int], reason: str | None
) -> None:
    await serve_pool(system)
    await api.call("PATCH", "/pools/test", expect=200, json={"discipline": "shortest-remaining-service", **bounds})
    customer = await make_ready_customer(api)

    async def submit_epochs(epochs: int) -> str:
        config = {**CONFIG, "epochs": epochs}
        return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id, config=config))["id"])

    long = [await submit_epochs(400) for _number in range(2)]
    await cycle(system)
    clock.advance(seconds=700)
    short = await submit_epochs(1)
    await cycle(system)
    stopping = [job for job in [await api.get(f"/jobs/{job_id}") for job_id in long] if job["stop_requested"]]
    told = [(job["stop_requested"], job["evictions"][0]["reason"]) for job in stopping]
    assert told == ([] if bounds else [("preempt", "discipline")])
    assert (await api.get(f"/jobs/{short}"))["pending_reason"]["code"] == (reason or "making_room")
