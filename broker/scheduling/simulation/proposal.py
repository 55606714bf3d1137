"""What ops proposes to change about queues, pools and contracts' shares, read from a document. Pure.

`docs/simulation.md` has the format, with an example.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from broker.scheduling.planning.values.pools import Discipline, PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueMode, QueueState
from broker.scheduling.simulation.recording import Conditions
from broker.scheduling.simulation.window_replay import Proposal

Reader = Callable[[str, Any], Any]
MOST = 10**9


class BadProposal(ValueError):
    """A proposal that cannot be; the message names the field and what it must be."""


def _read_whole(least: int) -> Reader:
    def read(field: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise BadProposal(f"{field} must be a whole number of at least {least}, and is {value!r}")
        return value

    return read


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


# Fields of a proposal: what they set, and how they are read.
QUEUE_FIELDS: Mapping[str, tuple[str, Reader]] = {
    "priority": ("priority", _read_whole(0)),
    "open": ("open", _read_flag),
    "mode": ("mode", _read_choice(QueueMode)),
    "max_wait_s": ("max_wait", _read_wait),
    "weight": ("weight", _read_whole(1)),
}
POOL_FIELDS: Mapping[str, tuple[str, Reader]] = {
    "total_gpus": ("total_gpus", _read_whole(0)),
    "open": ("open", _read_flag),
    "discipline": ("discipline", _read_choice(Discipline)),
}
CONTRACT_FIELDS: Mapping[str, tuple[str, Reader]] = {
    "weight": ("weight", _read_whole(1)),
    "most_gpus": ("most_gpus", _read_whole(0)),
}
PARTS = {"queues": QUEUE_FIELDS, "pools": POOL_FIELDS, "contracts": CONTRACT_FIELDS}

# By name, what is set of it.
Changes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ProposedChanges:
    """What is proposed, by the names of queues, pools and contracts."""

    queues: Changes
    pools: Changes
    contracts: Changes

    def as_proposal(self) -> Proposal:
        return Proposal(self._change_conditions, self._change_share)

    def check_names(self, conditions: Sequence[Conditions], contracts: Collection[str]) -> None:
        """Check that what is named was there in the window, where `contracts` had jobs. Raises: BadProposal."""
        queues = {queue.name for told in conditions for queue in told.queues}
        pools = {pool.name for told in conditions for pool in told.pools}
        for part, changed, known in (
            ("queues", self.queues, queues),
            ("pools", self.pools, pools),
            ("contracts", self.contracts, contracts),
        ):
            for name in changed:
                if name not in known:
                    there = ", ".join(sorted(known)) or "none"
                    raise BadProposal(f"{part}.{name} was not there in this window; there were {there}")

    def _change_conditions(self, told: Conditions) -> Conditions:
        queues = tuple(self._change_queue(queue) for queue in told.queues)
        return replace(told, queues=queues, pools=tuple(self._change_pool(pool) for pool in told.pools))

    def _change_queue(self, queue: QueueState) -> QueueState:
        return replace(queue, **self.queues.get(queue.name, {}))

    def _change_pool(self, pool: PoolState) -> PoolState:
        changed = replace(pool, **self.pools.get(pool.name, {}))
        more = changed.total_gpus - pool.total_gpus
        return replace(changed, free_gpus=max(pool.free_gpus + more, 0), nodes=() if more else pool.nodes)

    def _change_share(self, share: ContractShare) -> ContractShare:
        return replace(share, **self.contracts.get(share.contract_id, {}))


def read_proposal(document: object) -> ProposedChanges:
    """Read a parsed document. Raises: BadProposal."""
    if not isinstance(document, Mapping) or not document:
        raise BadProposal("must hold queues, pools or contracts with what changes of them")
    for part in document:
        if part not in PARTS:
            raise BadProposal(f"field {part!r} is unknown; the fields are {', '.join(PARTS)}")
    read = {part: _read_part(part, named) for part, named in document.items()}
    return ProposedChanges(**{part: read.get(part, {}) for part in PARTS})


def _read_part(part: str, named: object) -> dict[str, dict[str, Any]]:
    if not isinstance(named, Mapping) or not named:
        raise BadProposal(f"{part} must name what changes, with its fields")
    return {str(name): _read_changes(f"{part}.{name}", changes, PARTS[part]) for name, changes in named.items()}


def _read_changes(path: str, changes: object, known: Mapping[str, tuple[str, Reader]]) -> dict[str, Any]:
    if not isinstance(changes, Mapping) or not changes:
        raise BadProposal(f"{path} must hold fields: {', '.join(known)}")
    read: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in known:
            raise BadProposal(f"{path}.{name} is unknown; the fields are {', '.join(known)}")
        target, reader = known[name]
        read[target] = reader(f"{path}.{name}", value)
    return read
