"""Between the database and an engine: relaying, adopting, noticing what is gone; with crashes in between."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from broker.daemon.loops import Daemon
from broker.execution.engine import LaunchSpec
from broker.execution.pool_agent import PoolAgent
from broker.jobs.running.runs import lose_run
from broker.jobs.tables import Run
from broker.persistence.database import open_database
from broker.persistence.outbox import OutboxMessage
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.worker_calls import PaperEngine, make_agent, worker_of


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.fixture
def engine() -> PaperEngine:
    return PaperEngine()


@pytest.fixture
def agent(system: System, engine: PaperEngine) -> PoolAgent:
    return make_agent(system, engine)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def last_run(api: Api, job_id: str) -> Any:
    return (await api.get(f"/jobs/{job_id}/runs"))["data"][-1]


async def read_messages(system: System) -> list[OutboxMessage]:
    async with system.work() as work:
        return list((await work.session.scalars(select(OutboxMessage).order_by(OutboxMessage.id))).all())


async def settle_stops(agent: PoolAgent) -> None:
    await agent.relays.settle("stop")


async def read_lease(system: System, run_id: str) -> Any:
    async with system.work() as work:
        return (await work.session.get_one(Run, run_id)).lease_expires_at


async def test_launch_is_relayed_with_all_that_the_run_needs(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    (spec,) = engine.launched
    assert (spec.job_id, spec.fence_token, spec.gpus) == (job_id, 1, 1)
    assert spec.broker_url == system.services.settings.worker_url
    assert spec.run_token not in repr(spec)
    await agent.relay()
    assert len(engine.launched) == 1


async def test_launch_is_relayed_again_after_a_crash_before_it_was_marked(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    run = await last_run(api, job_id)
    await agent._launch(run["id"])  # and here the broker is killed
    restarted = make_agent(system, engine)
    await restarted.start()
    await restarted.relay()
    assert [spec.run_id for spec in engine.launched] == [run["id"], run["id"]]
    assert all(message.done_at for message in await read_messages(system))


async def test_failing_launch_is_put_off_and_recovers(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    await submit(api, customer)
    await dispatch(system)
    engine.failing = {"launch"}
    await agent.relay()
    (message,) = await read_messages(system)
    assert (message.failures, message.done_at) == (1, None)
    assert message.last_error.startswith("EngineFault: no room")
    engine.failing = set()
    await agent.relay()
    assert engine.launched == []
    clock.advance(seconds=1)
    await agent.relay()
    assert len(engine.launched) == 1


async def test_failing_launch_holds_up_no_other(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    """Any error but the engine's own, such as a full disk, stopped the relay at the first message for good."""
    first, second = await submit(api, customer), await submit(api, customer)
    await dispatch(system, gpus=2)
    engine.failing = {(await last_run(api, first))["id"]}
    await agent.relay()
    assert [spec.job_id for spec in engine.launched] == [second]


@dataclass
class HangingEngine(PaperEngine):
    """An engine that takes the launches of some runs, and does not answer."""

    hanging: set[str] = field(default_factory=set)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def launch(self, spec: LaunchSpec) -> str:
        if spec.run_id in self.hanging:
            await self.answers.wait()
        return await super().launch(spec)


async def test_launch_that_hangs_delays_no_cycle_no_other_launch_and_no_stop_but_its_own(
    api: Api, system: System, customer: Customer
) -> None:
    """A past fault: launches were relayed one after the other, within the loop of the cycles."""
    engine = HangingEngine()
    agent = make_agent(system, engine)
    await agent.register()
    jobs = [await submit(api, customer) for _ in range(2)]
    await dispatch(system, gpus=2)
    stuck, other = [(await last_run(api, job_id))["id"] for job_id in jobs]
    engine.hanging = {stuck}
    daemon = Daemon(system, agent, plans=False)
    await daemon.run_once()
    for job_id in jobs:
        await api.post(f"/jobs/{job_id}/cancel")
    while other not in engine.stopped:
        await daemon.run_once()
        await asyncio.sleep(0)
    assert engine.stopped == [other]
    engine.answers.set()
    await settle_stops(agent)
    assert engine.stopped == [other, stuck]
    assert all(message.done_at for message in await read_messages(system))


async def test_launch_that_fails_for_a_whole_lease_is_queued_again(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    engine.failing = {"launch"}
    await agent.relay()
    clock.advance(seconds=system.services.settings.lease_seconds)
    await Daemon(system, agent).sweep_silent_runs()
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["attempts"]) == ("queued", 1)
    engine.failing = set()
    await agent.relay()
    await settle_stops(agent)
    assert engine.launched == []
    await dispatch(system)
    await agent.relay()
    assert [spec.fence_token for spec in engine.launched] == [2]


async def test_message_for_a_run_that_has_ended_is_dropped(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    async with system.work() as work:
        await lose_run(work, (await last_run(api, job_id))["id"], "lost before it was launched")
    await agent.relay()
    await settle_stops(agent)
    assert engine.launched == []
    assert all(message.done_at for message in await read_messages(system))


async def test_failing_stop_is_put_off_and_recovers(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    """It was called again at once, over and over."""
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    await api.post(f"/jobs/{job_id}/cancel")
    engine.failing = {"stop"}
    await agent.relay()
    await settle_stops(agent)
    assert [message.failures for message in await read_messages(system)] == [0, 1]
    engine.failing = set()
    await agent.relay()
    assert (engine.stopped, agent.relays.under_way) == ([], {})
    clock.advance(seconds=1)
    await agent.relay()
    await settle_stops(agent)
    assert engine.stopped == [(await last_run(api, job_id))["id"]]


async def test_a_stop_that_goes_on_after_a_restart_has_what_is_left_of_its_grace(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    """Each restart gave a run that did not end its whole grace anew."""
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    await api.post(f"/jobs/{job_id}/cancel")
    run_id, whole = (await last_run(api, job_id))["id"], system.services.settings.stop_grace_seconds
    for later in (0, 2, 10 * whole):
        clock.advance(seconds=later)
        await agent._stop(run_id)  # and here the broker is killed
    assert engine.graces == [whole, whole - 2, 0]
    engine.failing = {"stop"}
    await agent.relay()
    await settle_stops(agent)
    engine.failing = set()
    clock.advance(seconds=60)
    await agent.relay()
    await settle_stops(agent)
    assert engine.graces[-1] == whole, "a call that failed may never have reached the run"


async def test_vanished_process_is_lost_and_its_job_queued_again(
    api: Api, app: FastAPI, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(4)
    await agent.watch()
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "running"
    engine.alive.clear()
    engine.exit_codes[worker.run_id] = -9
    await agent.watch()
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["used_gpu_seconds"]) == ("queued", 4)
    assert (await last_run(api, job_id))["status"] == "lost"


async def test_run_whose_launch_is_still_to_be_relayed_is_not_taken_for_gone(
    api: Api, system: System, agent: PoolAgent, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.watch()
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "dispatched"


async def test_run_that_reported_its_end_is_not_lost_when_its_process_is_gone(
    api: Api, app: FastAPI, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("succeeded")
    engine.alive.clear()
    await agent.watch()
    assert (await api.get(f"/jobs/{job_id}"))["status"] == "succeeded"


async def test_restart_adopts_what_lives_and_gives_it_a_new_lease(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    jobs = [await submit(api, customer) for _ in range(2)]
    await dispatch(system, gpus=2)
    await agent.relay()
    living, gone = [(await last_run(api, job_id))["id"] for job_id in jobs]
    engine.alive.discard(gone)
    clock.advance(seconds=3600)
    restarted = make_agent(system, engine)
    await restarted.start()
    assert await read_lease(system, living) > clock.now
    await restarted.watch()
    await Daemon(system, restarted).sweep_silent_runs()
    assert [(await last_run(api, job_id))["status"] for job_id in jobs] == ["starting", "lost"]


async def test_what_cannot_be_adopted_while_the_database_is_away_is_adopted_once_it_is_back(
    api: Api,
    system: System,
    agent: PoolAgent,
    engine: PaperEngine,
    customer: Customer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Past faults: a start ended with a traceback then; and what it had not adopted nobody adopted later."""
    await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    restarted = make_agent(system, engine)
    await restarted.register()
    restarted.system = away = replace(system, database=open_database("postgresql://broker_app@127.0.0.1:1/nowhere"))
    await restarted.start()
    assert (restarted.owes_adoption, restarted.held) == (True, set())
    told = [record for record in caplog.records if "adopting" in record.getMessage()]
    assert [(record.levelno, record.exc_info) for record in told] == [(logging.WARNING, None)]
    restarted.system = system
    await restarted.keep_once()
    assert (restarted.owes_adoption, restarted.held) == (False, engine.alive)
    await restarted.close()
    await away.database.close()


async def test_two_agents_of_one_pool_relay_side_by_side(
    api: Api, system: System, agent: PoolAgent, engine: PaperEngine, customer: Customer
) -> None:
    job_id = await submit(api, customer)
    await dispatch(system)
    beside = make_agent(system, engine)
    await agent.relay()
    await beside.relay()
    await api.post(f"/jobs/{job_id}/pause")
    await beside.relay()
    await agent.relay()
    await settle_stops(beside)
    await settle_stops(agent)
    assert len(engine.launched) == 1
    assert set(engine.stopped) == {(await last_run(api, job_id))["id"]}
