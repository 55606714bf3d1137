"""Where runs are, node by node; and pools of nodes on the database: who starts where, and who waits for maintenance."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.capacity.model import Maintenance, NodeCapacity, NodeState, apply_word
from broker.execution.engine import Capacity
from broker.jobs.reading.queueing import DeviceHolder
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.places import count_free, describe_nodes, find_node, place_on_nodes
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import Place
from broker.scheduling.planning.values.pools import Node, PoolState, Window
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job, worker_api
from tests.broker.worker_calls import PaperEngine, make_agent

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
TWO_NODES = (NodeCapacity("n1", 4), NodeCapacity("n2", 2))


def hold(job_id: str, gpus: int, node: str | None = None, **fields: Any) -> DeviceHolder:
    return DeviceHolder(job_id, "con_1", "a100", "agt_1", gpus, START, 60, node=node, **fields)


def test_run_of_before_is_taken_to_be_where_most_is_left() -> None:
    placed = place_on_nodes([hold("b", 1), hold("a", 2), hold("c", 1, "n1")], TWO_NODES)
    assert [(each.job_id, each.node) for each in placed] == [("c", "n1"), ("a", "n1"), ("b", "n2")]
    assert count_free(TWO_NODES, placed) == 2
    assert [each.node for each in place_on_nodes([hold("a", 1, "n1")], ())] == [None]


def test_nothing_is_free_on_a_node_that_drains() -> None:
    nodes = apply_word((*TWO_NODES, NodeCapacity("n3", 8, NodeState.DOWN)), {"n1", "n3"}, set())
    assert [node.state.value for node in nodes] == ["draining", "open", "down"]
    assert count_free(nodes, [hold("a", 1, "n2"), hold("b", 2, "n1")]) == 1


def test_maintenance_is_of_the_nodes_that_it_names_or_of_all() -> None:
    planned = (Maintenance(START, START + HOUR, ("n2",)),)
    n1, n2 = describe_nodes("a100", 6, TWO_NODES, planned)
    assert (n1.windows, n2.windows) == ((), (Window(START, START + HOUR),))
    assert describe_nodes("local", 2, (), ()) == ()
    alone = describe_nodes("local", 2, (), (Maintenance(START, START + HOUR),))
    assert alone == (Node("local", 2, windows=(Window(START, START + HOUR),)),)


def test_start_names_its_node_unless_the_pool_is_one_machine() -> None:
    start = Start("job_1", "a100", 2, (Place("n1", 2),))
    assert find_node(start, PoolState("a100", "a100", 6, 6, nodes=describe_nodes("a100", 6, TWO_NODES, ()))) == "n1"
    assert find_node(Start("job_1", "local", 2, (Place("local", 2),)), PoolState("local", "cpu", 2, 2)) is None


@pytest.fixture
async def engine(system: System) -> PaperEngine:
    return PaperEngine(offered=Capacity.of_nodes("cpu", TWO_NODES))


async def change_pool(api: Api, expect: int = 200, **changes: Any) -> Any:
    return (await api.call("PATCH", "/pools/test", json=changes, expect=expect)).json()


async def test_jobs_start_on_nodes_that_have_all_their_gpus_and_wait_for_maintenance(
    api: Api, system: System, clock: ManualClock, engine: PaperEngine
) -> None:
    agent = make_agent(system, engine)
    await agent.register()
    customer = await make_ready_customer(api)

    async def submit(gpus: int) -> str:
        clock.advance(seconds=1)
        job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, gpus=gpus)
        return str(job["id"])

    async def plan() -> None:
        async with system.work() as work:
            await run_cycle(work)
        await agent.relay()

    first, second, third = await submit(2), await submit(3), await submit(2)
    await plan()
    assert {spec.job_id: spec.node for spec in engine.launched} == {first: "n2", second: "n1"}
    assert (await api.get(f"/jobs/{first}/runs"))["data"][0]["node"] == "n2"
    waiting = await api.get(f"/jobs/{third}")
    assert waiting["pending_reason"]["code"] == "waiting_for_gpus"  # one is free on n1: all or none

    fourth = await submit(1)
    begins_at = clock.now + timedelta(seconds=1)
    window = {"begins_at": begins_at.isoformat(), "ends_at": (begins_at + HOUR).isoformat(), "nodes": ["n1"]}
    assert (await change_pool(api, maintenance=[window]))["maintenance"][0]["nodes"] == ["n1"]
    await plan()
    assert (await api.get(f"/jobs/{fourth}"))["status"] == "queued"
    await change_pool(api, maintenance=[])
    drained = await change_pool(api, nodes={"n1": "draining"}, discipline="first-come")
    assert (drained["total_gpus"], drained["discipline"], drained["nodes"][0]["state"]) == (2, "first-come", "draining")
    await plan()
    assert (await api.get(f"/jobs/{fourth}"))["status"] == "queued"
    await change_pool(api, nodes={"n1": "open"}, discipline="fair")
    await plan()
    assert {spec.job_id: spec.node for spec in engine.launched}[fourth] == "n1"
    await agent.close()


async def test_what_a_pool_cannot_be_is_refused_by_its_field_and_nothing_changes(
    api: Api, system: System, clock: ManualClock, engine: PaperEngine
) -> None:
    await make_agent(system, engine).register()
    before = await api.get("/pools/test")
    later = (clock.now + HOUR).isoformat()
    for wrong in (
        {"discipline": "lottery"},
        {"nodes": {"n9": "draining"}},
        {"nodes": {"n9": "down"}},
        {"nodes": {"n1": "gone"}},
        {"stops_per_hour": -1},
        {"least_run_seconds": 86_401},
        {"maintenance": [{"begins_at": later, "ends_at": later}]},
        {"maintenance": [{"begins_at": (clock.now - 2 * HOUR).isoformat(), "ends_at": (clock.now - HOUR).isoformat()}]},
        {"maintenance": [{"begins_at": later, "ends_at": (clock.now + 2 * HOUR).isoformat(), "nodes": ["n9"]}]},
    ):
        problem = await change_pool(api, 422, open=False, **wrong)
        assert next(iter(wrong)) in str(problem)
    assert await api.get("/pools/test") == before


async def test_run_on_a_node_that_ops_declares_down_is_lost_and_its_job_goes_first_elsewhere(
    api: Api, system: System, clock: ManualClock, engine: PaperEngine
) -> None:
    agent = make_agent(system, engine)
    await agent.register()
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, gpus=2)
    async with system.work() as work:
        await run_cycle(work)
    await agent.relay()
    run_id = engine.launched[0].run_id
    async with worker_api(api.app, system, run_id) as worker:
        await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1})
    important = await submit_job(api, customer.dataset["id"], customer_id=customer.id, gpus=3)
    await api.call("PATCH", f"/jobs/{important['id']}", json={"priority": 900, "reason": "a demo"}, expect=200)

    down = await change_pool(api, nodes={"n2": "down"})
    assert down["lost_runs"] == [run_id]
    assert {node["name"]: node["state"] for node in down["nodes"]} == {"n1": "open", "n2": "down"}
    run = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]
    assert (run["node"], run["status"], run["cause"]) == ("n2", "lost", "node_down")
    assert (await api.get("/pools/test"))["failed_starts"] == 0
    assert (await change_pool(api, nodes={"n2": "down"}))["lost_runs"] == []

    async with system.work() as work:
        await run_cycle(work)
    again = (await api.get(f"/jobs/{job['id']}/runs"))["data"]
    assert [each["node"] for each in again] == ["n2", "n1"]
    assert (await api.get(f"/jobs/{important['id']}"))["status"] == "queued"
    await agent.close()
