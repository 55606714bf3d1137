"""Whose runs are whose: what an agent does with its own, and leaves alone of others; its lease, its drain, its end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from broker.execution.identity import AgentIdentity, AgentLock
from broker.execution.membership import Membership, Renewal
from broker.execution.pool_agent import PoolAgent
from broker.persistence.database import open_database
from broker.processes.boot import DatabaseUrls
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.pools import make_card
from tests.broker.worker_calls import PaperEngine, make_agent, worker_of

STRANGER = AgentIdentity(id="agt_stranger", host="machine-2", boot_id="boot-2", data_dir="/srv/broker")


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.fixture
def engine() -> PaperEngine:
    return PaperEngine()


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def read_job(api: Api, job_id: str) -> Any:
    return await api.get(f"/jobs/{job_id}")


async def launch_one(api: Api, system: System, agent: PoolAgent, customer: Customer) -> str:
    """Have the agent launch the run of a new job; returns the job's id."""
    job_id = await submit(api, customer)
    await dispatch(system)
    await agent.relay()
    return job_id


async def test_run_of_another_agent_is_neither_called_gone_nor_relayed(
    api: Api, system: System, engine: PaperEngine, customer: Customer
) -> None:
    """A past fault: a second process of the pool, whose engine did not know the run, ended it within two seconds."""
    job_id = await submit(api, customer)
    await dispatch(system)
    stranger_engine = PaperEngine()
    stranger = make_agent(system, stranger_engine, identity=STRANGER)
    await stranger.relay()
    assert stranger_engine.launched == []
    await make_agent(system, engine).relay()
    await stranger.watch()
    await api.post(f"/jobs/{job_id}/cancel")
    await stranger.relay()
    assert (len(engine.launched), stranger_engine.launched, stranger_engine.stopped) == (1, [], [])
    assert (await read_job(api, job_id))["status"] == "dispatched"


class FailingMembership(Membership):
    """A place whose broker does not answer once `is_away`; its clock is the test's."""

    def __init__(self, system: System) -> None:
        super().__init__(system, monotonic=lambda: self.seconds)
        self.seconds = 0.0

    def cut_off(self) -> None:
        self.system = replace(self.system, database=open_database("postgresql:///broker?host=/nowhere"))


@pytest.mark.parametrize("fences", [True, False])
async def test_agent_that_cannot_renew_its_lease_stops_its_runs_before_it_ends(
    fences: bool, api: Api, system: System, engine: PaperEngine, customer: Customer
) -> None:
    """An embedded database is reached by nobody else, who could give the devices away: nothing is stopped there."""
    membership = FailingMembership(system)
    agent = make_agent(system, engine, membership=membership, fences=fences)
    await agent.register()
    await launch_one(api, system, agent, customer)
    lease_seconds = system.services.settings.lease_seconds
    membership.cut_off()
    membership.seconds = lease_seconds / 2 - 1
    await agent.keep_once()
    assert engine.stopped == []
    membership.seconds = lease_seconds / 2
    await agent.keep_once()
    assert engine.stopped == ([engine.launched[0].run_id] if fences else [])
    membership.system = system
    await agent.keep_once()
    assert membership.seconds_unrenewed == 0
    assert not agent.stands_by


async def test_agent_that_lost_its_pool_stops_its_runs_and_stands_by_until_it_is_free(
    api: Api, system: System, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    agent = make_agent(system, engine)
    await agent.register()
    await launch_one(api, system, agent, customer)
    clock.advance(seconds=system.services.settings.lease_seconds)
    successor = make_agent(system, PaperEngine(), identity=STRANGER)
    await successor.register()
    await agent.keep_once()
    assert (engine.stopped, agent.stands_by) == ([engine.launched[0].run_id], True)
    await agent.keep_once()
    assert agent.stands_by
    await successor.drain()
    await agent.keep_once()
    assert not agent.stands_by


async def test_second_process_of_a_data_directory_stands_by_and_takes_over(
    api: Api, system: System, engine: PaperEngine, customer: Customer, tmp_path: Path
) -> None:
    first = make_agent(system, engine, membership=Membership(system, AgentLock(tmp_path / "agent.lock")))
    second = make_agent(system, engine, membership=Membership(system, AgentLock(tmp_path / "agent.lock")))
    await first.register()
    await second.start()
    job_id = await submit(api, customer)
    await dispatch(system)
    await second.relay()
    assert (second.stands_by, engine.launched) == (True, [])
    await second.drain()
    assert (await api.get("/pools/test"))["state"] == "open", "who stands by says no goodbye for the other"
    await first.relay()
    await first.close()
    await second.keep_once()
    engine.alive.clear()
    await second.watch()
    assert (await read_job(api, job_id))["status"] == "queued"
    await second.close()


async def test_machine_that_can_start_nothing_costs_no_attempt_and_its_pool_rests(
    api: Api, system: System, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    system.services.settings.max_attempts = 1
    engine.is_broken = True
    agent = make_agent(system, engine)
    await agent.register()
    job_id = await launch_one(api, system, agent, customer)
    job = await read_job(api, job_id)
    assert (job["status"], job["attempts"]) == ("queued", 1)
    pool = await api.get("/pools/test")
    assert (pool["state"], pool["last_failure"]) == ("resting", "it could not be started: no such command")
    await agent.relay()
    await agent.relays.settle("stop")
    engine.is_broken = False
    await launch_one(api, system, agent, customer)
    assert len(engine.launched) == 1


async def test_start_that_goes_well_ends_the_rest(
    api: Api, app: FastAPI, system: System, engine: PaperEngine, customer: Customer, clock: ManualClock
) -> None:
    agent = make_agent(system, engine)
    await agent.register()
    job_id = await launch_one(api, system, agent, customer)
    engine.alive.clear()
    await agent.watch()
    assert (await api.get("/pools/test"))["failed_starts"] == 1
    await agent.relay()
    await agent.relays.settle("stop")
    clock.advance(seconds=10)
    async with system.work() as work:
        await run_cycle(work)
    await agent.relay()
    async with worker_of(api, app, system, job_id) as worker:
        await worker.claim()
    assert (await api.get("/pools/test"))["failed_starts"] == 0


async def test_run_that_is_cancelled_before_it_starts_is_no_failed_start(
    api: Api, system: System, engine: PaperEngine, customer: Customer
) -> None:
    agent = make_agent(system, engine)
    await agent.register()
    job_id = await launch_one(api, system, agent, customer)
    await api.post(f"/jobs/{job_id}/cancel")
    engine.alive.clear()
    await agent.watch()
    assert (await read_job(api, job_id))["status"] == "cancelled"
    assert (await api.get("/pools/test"))["failed_starts"] == 0


async def test_agent_that_leaves_gives_its_runs_back_and_takes_no_more(
    api: Api, system: System, engine: PaperEngine, customer: Customer
) -> None:
    system.services.settings.max_attempts = 1
    agent = make_agent(system, engine)
    await agent.register()
    jobs = [await submit(api, customer) for _ in range(2)]
    await dispatch(system, gpus=2)
    engine.failing = {(await api.get(f"/jobs/{jobs[1]}/runs"))["data"][0]["id"]}
    await agent.relay()
    engine.failing = set()
    await agent.drain()
    await agent.relay()
    assert engine.alive == set()
    assert len(engine.launched) == 1
    assert [(await read_job(api, job_id))["status"] for job_id in jobs] == ["queued", "queued"]
    assert [(await api.get(f"/jobs/{job_id}/runs"))["data"][0]["cause"] for job_id in jobs] == ["shutdown"] * 2
    assert (await api.get("/pools/test"))["state"] == "unserved"
    (agent_shown,) = (await api.get("/agents"))["data"]
    assert (agent_shown["state"], agent_shown["ended_at"] is None) == ("gone", False)


async def test_run_of_an_earlier_release_becomes_whose_engine_sees_it_alive(
    api: Api, system: System, engine: PaperEngine, customer: Customer
) -> None:
    """Runs that were active at the migration are no agent's; a stranger that takes the pool first leaves them alone."""
    agent = make_agent(system, engine)
    job_id = await launch_one(api, system, agent, customer)
    async with system.work() as work:
        await work.session.execute(text("UPDATE runs SET agent_id = NULL"))
        await work.session.execute(text("UPDATE agents SET state = 'gone'"))
    stranger = make_agent(system, PaperEngine(), identity=STRANGER)
    await stranger.start()
    await stranger.watch()
    await stranger.drain()
    await stranger.close()
    assert (await read_job(api, job_id))["status"] == "dispatched"
    await agent.start()
    engine.alive.clear()
    await agent.watch()
    assert (await read_job(api, job_id))["status"] == "queued"
    await agent.close()


async def test_renewal_goes_through_while_requests_have_every_connection(
    system: System, urls: DatabaseUrls, tmp_path: Path
) -> None:
    busy = replace(system, database=open_database(urls.app, pool_size=1))
    membership = Membership.with_own_connection(busy, AgentLock(tmp_path / "agent.lock"))
    async with busy.work():
        assert await membership.take(make_card())
        assert await membership.renew() == Renewal.KEPT
    await membership.close()
    await busy.database.close()
