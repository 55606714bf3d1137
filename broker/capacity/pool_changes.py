"""What ops says of a pool: open or closed, its discipline, its machines, when it is worked on; kept for the record."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from broker import errors
from broker.capacity.model import Maintenance, NodeState
from broker.capacity.readiness import JudgedPool, forget_failed_starts, get_pool, lock_pool
from broker.capacity.tables import Pool, read_maintenance, write_maintenance
from broker.http.versions import require_version
from broker.persistence.database import wake_dispatcher
from broker.work import Work

# What bounds stops of a pool's runs for others; the installation's own settings where ops has said nothing.
STOP_SETTINGS = ("least_run_seconds", "stops_per_hour")


@dataclass(frozen=True)
class PoolChanges:
    """What ops sets of a pool; None: as it is. `nodes`: by name, as each is to be. `maintenance`: all of it.

    `stops` has those of STOP_SETTINGS that are set; None: as the installation says.
    """

    is_open: bool | None = None
    discipline: str | None = None
    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    maintenance: Sequence[Maintenance] | None = None
    stops: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class PoolWord:
    """What ops has said of a pool, as the record keeps it."""

    open: bool
    discipline: str
    drained_nodes: list[str]
    down_nodes: list[str]
    maintenance_told: list[dict[str, Any]]
    least_run_seconds: int | None
    stops_per_hour: int | None

    @classmethod
    def of(cls, pool: Pool) -> "PoolWord":
        return cls(**{each.name: getattr(pool, each.name) for each in fields(cls)})


def list_pool_settings(pool: Pool) -> dict[str, Any]:
    """List what ops has said of a pool. Pure."""
    return vars(PoolWord.of(pool))


async def change_pool(work: Work, name: str, changes: PoolChanges, seen: str | None = None) -> JudgedPool:
    """Change a pool for ops; an opened one has no failed starts, and the next cycle comes at once.

    What it changed is noted for the record. `seen`: the version that whoever changes it has looked at.
    Raises: NotFound, InvalidRequest, VersionMismatch.
    """
    pool = await lock_pool(work, name)
    require_version(seen, list_pool_settings(pool), {}, what=("pool", name))
    known = await list_node_names(work, name)
    _check_changes(changes, known, work.now)
    before = vars(PoolWord.of(pool))
    _apply_changes(pool, changes)
    work.note_change("pool", name, before, vars(PoolWord.of(pool)))
    await work.session.flush()
    await wake_dispatcher(work.session)
    return await get_pool(work, name)


async def list_node_names(work: Work, name: str) -> set[str]:
    """List the machines of a pool by name; the one that is a pool has its name. Raises: NotFound."""
    return {node.name for node in (await get_pool(work, name)).nodes} or {name}


def _apply_changes(pool: Pool, changes: PoolChanges) -> None:
    if changes.is_open is not None:
        pool.open = changes.is_open
    if changes.is_open:
        forget_failed_starts(pool)
    if changes.discipline is not None:
        pool.discipline = changes.discipline
    if changes.nodes:
        pool.drained_nodes = _put(pool.drained_nodes, changes.nodes, NodeState.DRAINING)
        pool.down_nodes = _put(pool.down_nodes, changes.nodes, NodeState.DOWN)
    if changes.maintenance is not None:
        pool.maintenance_told = write_maintenance(changes.maintenance)
    for name, value in changes.stops.items():
        setattr(pool, name, value)


def _put(before: Iterable[str], said: Mapping[str, NodeState], state: NodeState) -> list[str]:
    """Put the nodes into a state that are said to be in it; those of which something else is said leave it."""
    return sorted({node for node in before if node not in said} | {node for node in said if said[node] is state})


def _check_changes(changes: PoolChanges, known: Collection[str], now: datetime) -> None:
    """Check that what is named is there, and that maintenance lies ahead. Raises: InvalidRequest."""
    _check_names("nodes", changes.nodes, known)
    for place, each in enumerate(changes.maintenance or ()):
        where = f"maintenance.{place}"
        _check_names(f"{where}.nodes", each.nodes or (), known)
        if each.ends_at <= each.begins_at:
            raise errors.invalid_field(f"{where}.ends_at", "must be after begins_at")
        if each.ends_at <= now:
            raise errors.invalid_field(f"{where}.ends_at", "must be in the future: this maintenance is over")


def _check_names(where: str, names: Iterable[str], known: Collection[str]) -> None:
    strange = [name for name in names if name not in known]
    if strange:
        raise errors.invalid_field(where, f"there is no node {strange[0]}; there are: {', '.join(sorted(known))}")


async def tell_word(work: Work, name: str) -> Mapping[str, Any]:
    """Tell what ops has said of a pool, as the record keeps it. Raises: NotFound."""
    return vars(PoolWord.of((await get_pool(work, name)).pool))


def read_changes_back(before: Mapping[str, Any], after: Mapping[str, Any], now: datetime) -> PoolChanges:
    """Read what has to be said of a pool so that it is as before; maintenance that is over by now stays away."""
    nodes = {node: NodeState.OPEN for name in ("drained_nodes", "down_nodes") for node in after.get(name, ())}
    nodes |= dict.fromkeys(before.get("drained_nodes", ()), NodeState.DRAINING)
    nodes |= dict.fromkeys(before.get("down_nodes", ()), NodeState.DOWN)
    told = before.get("maintenance_told")
    planned = None if told is None else [each for each in map(read_maintenance, told) if each.ends_at > now]
    stops = {name: before[name] for name in STOP_SETTINGS if name in before}
    return PoolChanges(before.get("open"), before.get("discipline"), nodes, planned, stops)
