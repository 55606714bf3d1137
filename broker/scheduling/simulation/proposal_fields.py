"""The fields of a proposal: how the value of each is read, and what it changes. Pure.

They have the names that REST gives them, of queues, of pools, of a contract's quota and of jobs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from broker.scheduling.planning.values.pools import Discipline, Node, NodeState, PoolState
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueMode, QueueState
from broker.scheduling.simulation.bad_proposal import BadProposal
from broker.scheduling.simulation.proposed_maintenance import plan_maintenance, read_maintenance

Reader = Callable[[str, Any], Any]
MOST = 10**9


@dataclass(frozen=True)
class Field:
    """A field: `read` takes its path and its value, `apply` what it is of and the value that was read."""

    read: Reader
    apply: Callable[[Any, Any], Any]


def _read_whole(least: int) -> Reader:
    def read(field: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise BadProposal(f"{field} must be a whole number of at least {least}, and is {value!r}")
        return value

    return read


def _or_none(reader: Reader) -> Reader:
    """Read what may be null, which takes a limit away."""
    return lambda field, value: None if value is None else reader(field, value)


def _read_flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadProposal(f"{field} must be true or false, and is {value!r}")
    return value


def _read_choice(choices: type[StrEnum]) -> Reader:
    def read(field: str, value: Any) -> StrEnum:
        known = [choice.value for choice in choices]
        if value not in known:
            raise BadProposal(f"{field} must be one of {', '.join(known)}, and is {value!r}")
        return choices(value)

    return read


def _read_wait(field: str, value: Any) -> timedelta | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value <= MOST and math.isfinite(value))
    ):
        raise BadProposal(f"{field} must be a number of seconds above 0, or null, and is {value!r}")
    return timedelta(seconds=value)


def _read_word(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise BadProposal(f"{field} must be a name, and is {value!r}")
    return value


def _read_names(field: str, value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise BadProposal(f"{field} must be a list of names, or null, and is {value!r}")
    return frozenset(_read_word(field, name) for name in value)


def _read_by_name(reader: Reader) -> Reader:
    def read(field: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise BadProposal(f"{field} must hold values by name, and is {value!r}")
        return {str(name): reader(f"{field}.{name}", each) for name, each in value.items()}

    return read


def _set(name: str) -> Callable[[Any, Any], Any]:
    return lambda state, value: replace(state, **{name: value})


def _set_limit(name: str) -> Callable[[QueueState, Any], QueueState]:
    return lambda queue, value: replace(queue, limits=replace(queue.limits, **{name: value}))


def _set_hours(queue: QueueState, hours: int | None) -> QueueState:
    """Set how many GPU-hours a queue has in its window; what of them is left is for the replay to count."""
    seconds = None if hours is None else 3600 * hours
    return replace(queue, limits=replace(queue.limits, gpu_seconds=seconds, gpu_seconds_left=seconds))


def _set_window(queue: QueueState, hours: int | None) -> QueueState:
    return replace(queue, limits=replace(queue.limits, window=None if hours is None else timedelta(hours=hours)))


def _set_nodes(pool: PoolState, states: Mapping[str, NodeState]) -> PoolState:
    """Set the states of nodes; what the pool offers follows them. Raises: BadProposal, where a node is not there."""
    there = {node.name for node in pool.nodes}
    for name in states:
        if name not in there:
            known = ", ".join(sorted(there)) or "none: the pool is one machine"
            raise BadProposal(f"pools.{pool.name}.nodes.{name} was not there in this window; there were {known}")
    nodes = tuple(replace(node, state=states.get(node.name, node.state)) for node in pool.nodes)
    return replace(pool, nodes=nodes, total_gpus=_count_open(nodes) or pool.total_gpus)


def _count_open(nodes: tuple[Node, ...]) -> int:
    return sum(node.total for node in nodes if node.state == NodeState.OPEN)


def _resize(pool: PoolState, total_gpus: int) -> PoolState:
    """Make a pool one node of so many GPUs, on which others hold as many as before."""
    more = total_gpus - pool.total_gpus
    if not more:
        return pool
    return replace(pool, total_gpus=total_gpus, free_gpus=max(pool.free_gpus + more, 0), nodes=())


def _set_least_run(pool: PoolState, seconds: int | None) -> PoolState:
    return replace(pool, own_least_run=None if seconds is None else timedelta(seconds=seconds))


def _guarantee(share: ContractShare, gpus: Mapping[str, int]) -> ContractShare:
    lent = {each.sku: each.most_lent for each in share.guarantees}
    return replace(share, guarantees=tuple(Guarantee(sku, gpus[sku], lent.get(sku)) for sku in sorted(gpus)))


def lend(share: ContractShare, most_lent: int | None) -> ContractShare:
    """Set how many of the GPUs that a contract leaves idle others may use."""
    return replace(share, guarantees=tuple(replace(each, most_lent=most_lent) for each in share.guarantees))


HOURS, WINDOW = "max_gpu_hours", "window_hours"  # a limit and its window: both, or none
LENDING = "lending_limit"  # stands with the queue; what it changes is the guarantee of the queue's contract

QUEUE_FIELDS: Mapping[str, Field] = {
    "priority": Field(_read_whole(0), _set("priority")),
    "open": Field(_read_flag, _set("open")),
    "state": Field(_read_choice(QueueMode), _set("mode")),
    "max_wait_seconds": Field(_read_wait, _set("max_wait")),
    "weight": Field(_read_whole(1), _set("weight")),
    "max_jobs": Field(_or_none(_read_whole(1)), _set_limit("jobs")),
    "max_gpus": Field(_or_none(_read_whole(1)), _set_limit("gpus")),
    HOURS: Field(_or_none(_read_whole(1)), _set_hours),
    WINDOW: Field(_or_none(_read_whole(1)), _set_window),
    "allowed_pools": Field(_or_none(_read_names), _set("allowed_pools")),
    LENDING: Field(_or_none(_read_whole(0)), lambda queue, _most: queue),
}
POOL_FIELDS: Mapping[str, Field] = {
    "total_gpus": Field(_read_whole(0), _resize),
    "open": Field(_read_flag, _set("open")),
    "discipline": Field(_read_choice(Discipline), _set("discipline")),
    "nodes": Field(_read_by_name(_read_choice(NodeState)), _set_nodes),
    "sku": Field(_read_word, _set("sku")),
    "least_run_seconds": Field(_or_none(_read_whole(0)), _set_least_run),
    "stops_per_hour": Field(_or_none(_read_whole(0)), _set("own_stops_per_hour")),
    "maintenance": Field(read_maintenance, plan_maintenance),  # after the nodes that it names
}
CONTRACT_FIELDS: Mapping[str, Field] = {
    "weight": Field(_read_whole(1), _set("weight")),
    "max_gpus": Field(_or_none(_read_whole(0)), _set("most_gpus")),
    "max_jobs": Field(_or_none(_read_whole(0)), _set("most_jobs")),
    "guaranteed_gpus": Field(_read_by_name(_read_whole(0)), _guarantee),
}
JOB_FIELDS: Mapping[str, Field] = {"priority": Field(_or_none(_read_whole(0)), _set("priority"))}
PARTS = {"queues": QUEUE_FIELDS, "pools": POOL_FIELDS, "contracts": CONTRACT_FIELDS, "jobs": JOB_FIELDS}
