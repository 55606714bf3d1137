"""A whole plan from a whole snapshot: the planner, told everything at once, as the live one is held against."""

from dataclasses import replace
from datetime import datetime

from broker.scheduling.planning.books.nodes import name_nodes
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.answers import CyclePlan
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.line import list_waits


def plan_cycle(snapshot: ClusterSnapshot, *, now: datetime) -> CyclePlan:
    """Decide starts and waiting reasons. Pure and deterministic, whatever the order of the input.

    Decision 0051 tells the order. What a pool says is not free, and no run of the snapshot holds, is held by nobody
    whom the planner knows. Units: whole GPUs. Raises: nothing; each job left waiting carries a Reason.
    """
    planner = Planner.of(replace(snapshot, pools=name_nodes(snapshot)))
    plan = planner.plan(now)
    return CyclePlan(plan.starts, list_waits(planner, plan, snapshot.batches), plan.preemptions)
