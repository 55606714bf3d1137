"""The agent of a cluster: its nodes come and go, its engine may be away, and has a line of its own."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from broker.capacity.model import NodeCapacity, NodeState
from broker.execution.capacity_watch import CAPACITY_SECONDS
from broker.execution.engine import Capacity, EngineUnreachable, RunObservation, RunState
from broker.execution.membership import Membership
from broker.execution.pool_agent import describe_end
from broker.execution.slurm.engine import SlurmEngine
from broker.jobs.running.runs import list_silent_runs
from broker.persistence.database import open_database
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, dispatch, make_ready_customer, submit_job
from tests.broker.worker_calls import PaperEngine, make_agent

TWO_NODES = (NodeCapacity("n1", 4), NodeCapacity("n2", 4))


@dataclass
class Seconds:
    """A monotonic clock that stands until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def read_pool(api: Api) -> tuple[str, int, dict[str, str]]:
    pool: Any = await api.get("/pools/test")
    return pool["state"], pool["total_gpus"], {node["name"]: node["state"] for node in pool["nodes"]}


async def test_pool_follows_the_nodes_of_its_engine_and_takes_no_jobs_while_that_does_not_answer(
    api: Api, system: System
) -> None:
    seconds, engine = Seconds(), PaperEngine(offered=Capacity.of_nodes("cpu", TWO_NODES))
    agent = make_agent(system, engine, membership=Membership(system, monotonic=seconds))
    await agent.register()
    assert await read_pool(api) == ("open", 8, {"n1": "open", "n2": "open"})

    engine.offered = Capacity.of_nodes("cpu", (TWO_NODES[0], NodeCapacity("n2", 4, NodeState.DRAINING)))
    await look_again(agent, seconds)
    assert await read_pool(api) == ("open", 4, {"n1": "open", "n2": "draining"})

    engine.is_away = True
    await look_again(agent, seconds)
    assert await read_pool(api) == ("nodes_closed", 4, {"n1": "down", "n2": "down"})

    engine.is_away = False
    await look_again(agent, seconds)
    assert await read_pool(api) == ("open", 4, {"n1": "open", "n2": "draining"})
    await agent.close()


async def look_again(agent: Any, seconds: Seconds) -> None:
    seconds.now += CAPACITY_SECONDS
    await agent.keep_once()
    await agent.nodes.counting


async def test_nodes_that_cannot_be_told_while_the_database_is_away_are_told_when_it_is_back(
    api: Api, system: System, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault, found by a soak: the log told it with a traceback, as a mistake of our own."""
    seconds, engine = Seconds(), PaperEngine(offered=Capacity.of_nodes("cpu", TWO_NODES))
    agent = make_agent(system, engine, membership=Membership(system, monotonic=seconds))
    await agent.register()
    away = open_database("postgresql://broker_app@127.0.0.1:1/nowhere")
    engine.offered = Capacity.of_nodes("cpu", TWO_NODES[:1])
    agent.membership.system = replace(system, database=away)
    agent.nodes.follow()
    await agent.nodes.counting
    agent.membership.system = system
    await look_again(agent, seconds)
    told = [record for record in caplog.records if record.name == "broker.failure_log"]
    assert [(record.levelno, record.exc_info) for record in told] == [(logging.WARNING, None)] * 2
    assert told[1].getMessage() == "telling which nodes pool test has works again"
    assert await read_pool(api) == ("open", 4, {"n1": "open"})
    await away.close()
    await agent.close()


async def test_agent_whose_engine_is_away_at_the_start_says_so_once_and_takes_the_pool_when_that_is_back(
    api: Api, system: System, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault: `broker serve` did not start while its cluster was away, and with it no API and no other pool."""
    engine = PaperEngine(offered=Capacity.of_nodes("cpu", TWO_NODES), is_away=True)
    agent = make_agent(system, engine)
    await agent.register()
    await agent.start()
    await agent.keep_once()
    await agent.watch()
    [said] = [record.getMessage() for record in caplog.records if "starts nothing" in record.getMessage()]
    assert said == (
        "pool test starts nothing before its engine answers, which is asked again:"
        " BROKER_ENGINE: nobody answers; look whether it is on"
    )
    engine.is_away = False
    await agent.keep_once()
    assert await read_pool(api) == ("open", 8, {"n1": "open", "n2": "open"})
    await agent.close()


async def test_agent_adopts_what_runs_once_an_engine_that_fell_silent_in_between_answers(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api)
    first = make_agent(system, PaperEngine())
    await first.register()
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    await first.relay()
    engine = PaperEngine(alive=set(first.held))
    again = make_agent(system, engine)
    await again.register()
    engine.is_away = True
    await again.start()
    assert (again.serves, again.held) == (False, set())
    engine.is_away = False
    await again.keep_once()
    assert (again.serves, again.held) == (True, first.held)
    await again.watch()
    assert (await api.get(f"/jobs/{job['id']}"))["status"] == "dispatched"
    for agent in (first, again):
        await agent.close()


async def test_engine_whose_program_is_not_installed_is_refused_at_the_start(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = SlurmEngine(tmp_path, sku="cpu", command=("true",))
    with pytest.raises(EngineUnreachable, match="sinfo: is not installed; install"):
        await make_agent(system, engine).register()


async def test_run_in_the_engines_own_line_is_not_silent(api: Api, system: System, clock: ManualClock) -> None:
    seconds, engine = Seconds(), PaperEngine()
    agent = make_agent(system, engine, membership=Membership(system, monotonic=seconds))
    customer = await make_ready_customer(api)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    await agent.relay()
    engine.waiting = {engine.launched[0].run_id}
    clock.advance(seconds=20)
    await agent.watch()
    clock.advance(seconds=20)
    async with system.work() as work:
        assert await list_silent_runs(work) == []
    clock.advance(seconds=20)
    async with system.work() as work:
        assert await list_silent_runs(work) == [engine.launched[0].run_id]


def test_end_is_described_in_the_words_of_the_engine() -> None:
    lost = RunObservation("run_1", RunState.GONE, detail="Slurm job 7 on n1: NODE_FAIL")
    assert describe_end(lost) == (
        "its process ended without a report (unknown exit code): Slurm job 7 on n1: NODE_FAIL"
    )
    assert describe_end(RunObservation("run_1", RunState.EXITED, 1)) == (
        "its process ended without a report (exit code 1)"
    )
