"""A whole plan from a whole snapshot: the planner, told everything at once. Pure."""

from collections import Counter
from dataclasses import replace
from datetime import datetime

from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.answers import CyclePlan
from broker.scheduling.planning.values.pools import Node, PoolState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.line import list_waits


def plan_cycle(snapshot: ClusterSnapshot, *, now: datetime) -> CyclePlan:
    """Decide starts and waiting reasons. Pure and deterministic, whatever the order of the input.

    Decision 0051 tells the order. What a pool says is not free, and no run of the snapshot holds, is held by nobody
    whom the planner knows. Units: whole GPUs. Raises: nothing; each job left waiting carries a Reason.
    """
    busy: Counter[str] = Counter()
    for run in snapshot.running:
        busy[run.pool] += run.gpus
    pools = tuple(name_node(pool, busy[pool.name]) for pool in snapshot.pools)
    planner = Planner.of(replace(snapshot, pools=pools))
    plan = planner.plan(now)
    return CyclePlan(plan.starts, list_waits(planner, plan))


def name_node(pool: PoolState, busy: int) -> PoolState:
    """Give a pool without nodes its one node, with as many free GPUs as the snapshot says."""
    if pool.nodes:
        return pool
    return replace(pool, nodes=(Node(pool.name, pool.total_gpus, pool.total_gpus - max(pool.free_gpus, 0) - busy),))
