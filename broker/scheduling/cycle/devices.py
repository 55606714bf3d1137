"""Whose devices a run holds: those of its pool as it is served now, or of a machine that has left it. Pure."""

from collections.abc import Mapping

from broker.capacity.model import PRESENT, AgentState
from broker.capacity.readiness import JudgedPool
from broker.jobs.reading.queueing import DeviceHolder

ELSEWHERE = ""  # no pool has this name


def place_holder(
    holder: DeviceHolder, pools: Mapping[str, JudgedPool], machines: Mapping[str, str], states: Mapping[str, AgentState]
) -> str:
    """Tell which pool a run takes devices from, or ELSEWHERE: its pool has another machine's devices by now.

    `machines` (or clusters) and `states` are of agents, by their ids. A run that has ended and is being stopped holds
    its devices as long as its agent is there to stop it: one that was silent for a lease has stopped its own runs, or
    is off.
    """
    pool = pools.get(holder.pool)
    if pool is None:
        return ELSEWHERE
    if holder.agent_id is None:
        return holder.pool
    is_ending = holder.expected_seconds is None
    if is_ending and states[holder.agent_id] not in PRESENT:
        return ELSEWHERE
    serving = pool.pool.agent_id
    is_on_its_machine = serving is not None and machines[holder.agent_id] == machines[serving]
    return holder.pool if is_on_its_machine else ELSEWHERE
