"""What of a proposal can be set, by the names that settings have: a machine that is not there cannot. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from broker import errors
from broker.capacity.model import NodeState


@dataclass(frozen=True)
class Setting:
    """A field of a queue, pool or contract (`kind` is the part of the proposal) and its value."""

    kind: str
    name: str
    field: str
    value: Any


def _same(value: Any) -> Any:
    return value


def _read_nodes(value: Mapping[str, str]) -> dict[str, NodeState]:
    return {name: NodeState(state) for name, state in value.items()}


# By part and field of a proposal: the field as it is set, and its value.
FIELDS: Mapping[str, Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "queues": {
        **{
            name: (name, _same)
            for name in ("priority", "weight", "max_jobs", "max_gpus", "allowed_pools", "lending_limit")
        },
        "max_wait_seconds": ("max_wait_seconds", lambda value: None if value is None else int(value)),
        "max_wait_s": ("max_wait_seconds", lambda value: None if value is None else int(value)),
        "mode": ("state", _same),
        "open": ("state", lambda is_open: "open" if is_open else "holding"),
    },
    "pools": {"open": ("open", _same), "discipline": ("discipline", _same), "nodes": ("nodes", _read_nodes)},
    "contracts": {
        "weight": ("weight", _same),
        "most_gpus": ("max_gpus", _same),
        "most_jobs": ("max_jobs", _same),
    },
}
CURES = {
    "total_gpus": "is what its agent has: add machines, or drain nodes",
    "sku": "is what its agent has: a pool comes with the agent that serves it",
    "guaranteed_gpus": "is agreed in the contract: amend it",
}


def read_proposed_settings(proposal: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Setting]:
    """Read a proposal as settings. Raises: InvalidRequest, which names what cannot be set and where it is decided."""
    wanted: list[Setting] = []
    for kind, named in proposal.items():
        for name, changes in named.items():
            for field, value in changes.items():
                if field not in FIELDS[kind]:
                    raise errors.invalid_field(f"{kind}.{name}.{field}", CURES.get(field, "cannot be set here"))
                own, read = FIELDS[kind][field]
                wanted.append(Setting(kind, name, own, _check(f"{kind}.{name}.{field}", own, read(value))))
    return wanted


def _check(path: str, field: str, value: Any) -> Any:
    if field in {"max_gpus", "max_jobs"} and value == 0:
        raise errors.invalid_field(path, "must be at least 1; to start nothing, hold the queue")
    return value
