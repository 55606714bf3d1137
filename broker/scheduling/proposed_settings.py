"""What of a proposal can be set, by the names that settings have: a machine that is not there cannot. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from broker import errors
from broker.capacity.model import NodeState
from broker.capacity.pool_changes import STOP_SETTINGS
from broker.capacity.schemas import ContractQuotaPatch, PoolPatch, QueuePatch
from broker.http.shapes import RequestBody
from broker.jobs.order_schemas import JobPatch


@dataclass(frozen=True)
class Setting:
    """A field of a queue, pool, contract or job (`kind` is the part of the proposal) and its value."""

    kind: str
    name: str
    field: str
    value: Any


# By part of a proposal: the fields that can be set. They have the names that settings have.
SETTABLE = {
    "queues": frozenset(
        {
            "priority",
            "state",
            "open",
            "weight",
            "max_wait_seconds",
            "max_jobs",
            "max_gpus",
            "max_gpu_hours",
            "window_hours",
            "allowed_pools",
            "lending_limit",
        }
    ),
    "pools": frozenset({"open", "discipline", "nodes", "maintenance", *STOP_SETTINGS}),
    "contracts": frozenset({"weight", "max_gpus", "max_jobs"}),
    "jobs": frozenset({"priority"}),
}
# By part of a proposal: the request by which ops sets the same. What can be simulated may be beyond what can be set.
REQUESTS: Mapping[str, type[RequestBody]] = {
    "queues": QueuePatch,
    "pools": PoolPatch,
    "contracts": ContractQuotaPatch,
    "jobs": JobPatch,
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
                path = f"{kind}.{name}.{field}"
                if field not in SETTABLE[kind]:
                    raise errors.invalid_field(path, CURES.get(field, "cannot be set here"))
                setting = Setting(kind, name, *_read(kind, field, value))
                _check(path, setting)
                wanted.append(_read_checked(setting))
    return wanted


def _read(kind: str, field: str, value: Any) -> tuple[str, Any]:
    """Read a field as the settings keep it: whether a queue is open is its state, and seconds are whole."""
    if kind == "queues" and field == "open":
        return "state", "open" if value else "holding"
    if field == "nodes":
        return field, {name: NodeState(state) for name, state in value.items()}
    if field == "max_wait_seconds" and value is not None:
        return field, int(value)
    return field, value


def _read_checked(setting: Setting) -> Setting:
    """Read what is kept otherwise than it is sent, once it has been checked: times of maintenance."""
    if setting.field != "maintenance":
        return setting
    planned = PoolPatch.model_validate({"maintenance": setting.value}).read_changes().maintenance
    return replace(setting, value=planned)


def _check(path: str, setting: Setting) -> None:
    """Check a value as the request does that sets it. Raises: InvalidRequest."""
    if setting.field in {"max_gpus", "max_jobs"} and setting.value == 0:
        raise errors.invalid_field(path, "must be at least 1; to start nothing, hold the queue")
    try:
        REQUESTS[setting.kind].model_validate({setting.field: setting.value, "reason": "It was simulated."})
    except ValidationError as error:
        raise errors.invalid_field(path, error.errors()[0]["msg"]) from error
