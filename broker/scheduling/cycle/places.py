"""Where runs are and may start within a pool, node by node, as its engine and ops say. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from broker.capacity import model as capacity
from broker.capacity.model import Maintenance, NodeCapacity
from broker.jobs.reading.queueing import DeviceHolder
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState, Window


def describe_nodes(
    pool: str, total_gpus: int, nodes: Sequence[NodeCapacity], planned: Sequence[Maintenance]
) -> tuple[Node, ...]:
    """Describe the nodes of a pool as the planner knows them; a pool of one machine has one if that is worked on."""
    if nodes:
        return tuple(
            Node(node.name, node.gpus, state=NodeState(node.state.value), windows=_list_windows(planned, node.name))
            for node in nodes
        )
    windows = _list_windows(planned, pool)
    return (Node(pool, total_gpus, windows=windows),) if windows else ()


def _list_windows(planned: Iterable[Maintenance], node: str) -> tuple[Window, ...]:
    return tuple(Window(each.begins_at, each.ends_at) for each in planned if each.nodes is None or node in each.nodes)


def place_on_nodes(holders: Iterable[DeviceHolder], nodes: Sequence[NodeCapacity]) -> list[DeviceHolder]:
    """Place the runs of one pool on its nodes; on none where the pool is one machine.

    Where it is not known, of runs of before, the node that has most left is taken to have it, the oldest run first.
    """
    if not nodes:
        return [holder if holder.node is None else replace(holder, node=None) for holder in holders]
    free = Counter({node.name: node.gpus for node in nodes})
    placed: list[DeviceHolder] = []
    for holder in sorted(holders, key=lambda each: (each.node is None, each.started_at, each.job_id)):
        name = holder.node or min((node.name for node in nodes), key=lambda name: (-free[name], name))
        free[name] -= holder.gpus
        placed.append(holder if holder.node == name else replace(holder, node=name))
    return placed


def find_node(start: Start, pool: PoolState) -> str | None:
    """Find the machine of a cluster that a start is placed on; None: the pool is one machine, or it takes several."""
    is_one_machine = all(node.name == pool.name for node in pool.nodes)
    return None if is_one_machine or len(start.places) != 1 else start.places[0].node


def count_free(nodes: Iterable[NodeCapacity], holders: Iterable[DeviceHolder]) -> int:
    """Count what is free on the nodes that take starts. Units: whole GPUs."""
    held: Counter[str | None] = Counter()
    for holder in holders:
        held[holder.node] += holder.gpus
    return sum(max(0, node.gpus - held[node.name]) for node in nodes if node.state is capacity.NodeState.OPEN)
