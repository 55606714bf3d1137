"""Whose devices a run holds when agents come and go."""

from dataclasses import replace

import pytest

from broker.capacity.agents import find_site
from broker.capacity.model import AgentState, Readiness
from broker.capacity.readiness import JudgedPool
from broker.capacity.tables import Agent, Pool
from broker.jobs.reading.queueing import DeviceHolder
from broker.scheduling.cycle.devices import ELSEWHERE, place_holder
from tests.broker.conftest import START

POOLS = {"local": JudgedPool(Pool(name="local", agent_id="agt_now"), None, Readiness.OPEN, None)}
MACHINES = {"agt_now": "boot-1", "agt_beside": "boot-1", "agt_far": "boot-2"}
RUNNING = DeviceHolder("job_1", "con_1", "local", "agt_now", 1, START, 60)
STOPPING = replace(RUNNING, expected_seconds=None)


@pytest.mark.parametrize(
    ("holder", "state", "pool"),
    [
        (RUNNING, AgentState.LIVE, "local"),
        (RUNNING, AgentState.SILENT, "local"),
        (replace(RUNNING, agent_id=None), AgentState.LIVE, "local"),
        (replace(RUNNING, agent_id="agt_beside"), AgentState.SILENT, "local"),
        (replace(RUNNING, agent_id="agt_far"), AgentState.SILENT, ELSEWHERE),
        (replace(RUNNING, pool="unknown"), AgentState.LIVE, ELSEWHERE),
        (STOPPING, AgentState.LIVE, "local"),
        (STOPPING, AgentState.DRAINING, "local"),
        (STOPPING, AgentState.SILENT, ELSEWHERE),
        (STOPPING, AgentState.GONE, ELSEWHERE),
    ],
)
def test_run_holds_devices_of_its_machine_and_while_its_agent_can_stop_it(
    holder: DeviceHolder, state: AgentState, pool: str
) -> None:
    assert place_holder(holder, POOLS, MACHINES, dict.fromkeys(MACHINES, state)) == pool


def test_devices_of_a_cluster_are_the_same_whichever_machine_its_agent_is_on() -> None:
    """A past fault: an agent with another data directory counted what still ran on the cluster as free."""
    old, new = (
        Agent(engine="slurm", pool="a100", boot_id="boot-1"),
        Agent(engine="slurm", pool="a100", boot_id="boot-2"),
    )
    assert find_site(old) == find_site(new)
    old.engine = new.engine = "local"
    assert find_site(old) != find_site(new)
