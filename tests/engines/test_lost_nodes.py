"""Nodes that are named, that lose their daemon, and that are lost with all that runs on them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from broker.capacity.model import NodeState
from broker.execution.engine import Engine, LaunchError, RunState
from tests.engines.benches import Bench, ClusterBench, SlurmBench, list_run
from tests.engines.test_conformance import await_end_of, await_starts, observe_until
from tests.engines.trainer_scripts import RUN_ON

DEADLINE_SECONDS = 600


@pytest.fixture
async def second_node(cluster_bench: ClusterBench) -> AsyncIterator[str]:
    """Name the node that the test may kill; it is there again afterwards."""
    bench = cluster_bench
    yield await bench.find_second_node()
    bench.bring_node_back()
    await until(bench.engines[-1], lambda open_gpus: sum(open_gpus.values()) == bench.gpus)


async def until(engine: Engine, is_so: Callable[[dict[str, int]], bool]) -> None:
    """Wait until the GPUs of open nodes, by name, are so."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    open_gpus: dict[str, int] = {}
    while time.monotonic() < deadline:
        capacity = await engine.capacity()
        open_gpus = {node.name: node.gpus for node in capacity.nodes if node.state is NodeState.OPEN}
        assert capacity.gpus == sum(open_gpus.values())
        if is_so(open_gpus):
            return
        await asyncio.sleep(0.5)
    pytest.fail(f"never so; open nodes: {open_gpus}")


async def test_run_of_a_lost_node_is_gone_and_the_node_hands_out_nothing(
    cluster_bench: ClusterBench, second_node: str
) -> None:
    bench = cluster_bench
    engine = bench.make(RUN_ON)
    await engine.launch(bench.spec(node=second_node))
    [start] = await await_starts(bench)
    assert bench.is_on(start, second_node)
    bench.lose_node(start)
    await await_end_of(start)
    seen = await observe_until(bench, RunState.GONE, RunState.EXITED)
    assert seen.detail
    await until(engine, lambda open_gpus: second_node not in open_gpus)


async def test_node_that_is_not_there_is_no_place_for_a_run(cluster_bench: ClusterBench) -> None:
    with pytest.raises(LaunchError, match="node"):
        await cluster_bench.make(RUN_ON).launch(cluster_bench.spec(node="nowhere"))


async def test_losing_a_node_kills_no_process_of_whoever_runs_the_tests(bench: Bench) -> None:
    """A past fault: every `sh` above a run was killed, and among them the one by which `make` ran the tests."""
    if not isinstance(bench, SlurmBench):
        pytest.skip("what runs elsewhere is killed by its engine")
    await bench.make(RUN_ON).launch(bench.spec())
    [start] = await await_starts(bench)
    own = psutil.Process()
    assert not {own, *own.parents()} & set(list_run(psutil.Process(start["pid"])))


async def test_run_outlives_its_nodes_daemon(bench: Bench, second_node: str) -> None:
    if not isinstance(bench, SlurmBench):
        pytest.skip("what Ray runs ends with the node's daemon")
    engine = bench.make(RUN_ON)
    await engine.launch(bench.spec(node=second_node))
    await await_starts(bench)
    bench.cluster.kill(second_node)
    assert [seen.state for seen in await engine.reconcile([bench.name()])] == [RunState.ALIVE]
    bench.bring_node_back()
    await until(engine, lambda open_gpus: second_node in open_gpus)
    assert [seen.state for seen in await engine.reconcile([bench.name()])] == [RunState.ALIVE]
    await engine.stop(bench.name(), grace_seconds=bench.grace_seconds)
    assert (await observe_until(bench, RunState.EXITED)).exit_code == -15
    assert len(bench.starts_of()) == 1
