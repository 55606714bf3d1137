"""Times of maintenance that are proposed for a pool, in the place of those that were recorded. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from broker.scheduling.planning.values.pools import Node, PoolState, Window
from broker.scheduling.simulation.bad_proposal import BadProposal

MOST_TIMES = 100
NAMES = ("begins_at", "ends_at", "nodes")


@dataclass(frozen=True)
class ProposedMaintenance:
    """A time at which nodes are worked on; `nodes` None: all of the pool."""

    window: Window
    nodes: tuple[str, ...] | None = None


def read_maintenance(field: str, value: Any) -> tuple[ProposedMaintenance, ...]:
    """Read times of maintenance as `PATCH /pools` takes them. Raises: BadProposal."""
    if not isinstance(value, list) or len(value) > MOST_TIMES:
        raise BadProposal(f"{field} must be a list of at most {MOST_TIMES} times, and is {value!r}")
    return tuple(_read_one(f"{field}.{number}", each) for number, each in enumerate(value))


def _read_one(field: str, told: Any) -> ProposedMaintenance:
    if not isinstance(told, Mapping) or not {"begins_at", "ends_at"} <= told.keys() <= set(NAMES):
        raise BadProposal(f"{field} must hold begins_at and ends_at, and may hold nodes; it is {told!r}")
    begins_at, ends_at = (_read_moment(f"{field}.{name}", told[name]) for name in ("begins_at", "ends_at"))
    if ends_at <= begins_at:
        raise BadProposal(f"{field}.ends_at must be after begins_at")
    return ProposedMaintenance(Window(begins_at, ends_at), _read_nodes(f"{field}.nodes", told.get("nodes")))


def _read_moment(field: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadProposal(f"{field} must be a moment with its offset, such as 2026-12-01T02:00:00Z, not {value!r}")
    return moment


def _read_nodes(field: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise BadProposal(f"{field} must be a list of names, or null, and is {value!r}")
    return tuple(value)


def plan_maintenance(pool: PoolState, planned: Sequence[ProposedMaintenance]) -> PoolState:
    """Let a pool be worked on at these times alone. Raises: BadProposal, where a node is not there."""
    nodes = pool.nodes or (Node(pool.name, pool.total_gpus),)
    there = {node.name for node in nodes}
    for name in (name for each in planned for name in each.nodes or ()):
        if name not in there:
            known = ", ".join(sorted(there))
            raise BadProposal(f"pools.{pool.name}.maintenance names {name}, which was not there; there were {known}")
    return replace(pool, nodes=tuple(replace(node, windows=_list_windows(planned, node.name)) for node in nodes))


def _list_windows(planned: Iterable[ProposedMaintenance], node: str) -> tuple[Window, ...]:
    return tuple(each.window for each in planned if each.nodes is None or node in each.nodes)
