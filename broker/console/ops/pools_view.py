"""The pools as a map of machines, and who holds what of them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from broker.capacity.model import Maintenance, NodeState, Readiness
from broker.capacity.readiness import JudgedPool
from broker.console.frame.menu import N_
from broker.jobs.reading.queueing import DeviceHolder
from broker.operations.claims import Facts
from broker.operations.overview import Overview
from broker.operations.standing import Standing


class TileState(StrEnum):
    """What a machine does now: each state has a letter and a shape of its own, so that no colour is needed."""

    FREE = "free"
    PARTLY = "partly"
    FULL = "full"
    MAINTENANCE = "maintenance"
    DRAINING = "draining"
    DOWN = "down"
    CLOSED = "closed"


LETTERS = {
    TileState.FREE: "F",
    TileState.PARTLY: "P",
    TileState.FULL: "U",
    TileState.MAINTENANCE: "M",
    TileState.DRAINING: "D",
    TileState.DOWN: "X",
    TileState.CLOSED: "C",
}
WORDS = {
    TileState.FREE: N_("free"),
    TileState.PARTLY: N_("partly in use"),
    TileState.FULL: N_("in use"),
    TileState.MAINTENANCE: N_("in maintenance"),
    TileState.DRAINING: N_("draining"),
    TileState.DOWN: N_("down"),
    TileState.CLOSED: N_("starts nothing"),
}
TAKING = frozenset({TileState.FREE, TileState.PARTLY})
UNHEALTHY = frozenset({TileState.DOWN})
# A pool that takes nothing for one of these reasons is broken; the others are what ops has said.
BROKEN = frozenset({Readiness.UNSERVED, Readiness.SILENT, Readiness.RESTING, Readiness.OUTDATED})


@dataclass(frozen=True)
class Tile:
    """A machine of a pool; a pool that is one machine has one, of its own name. Units: whole GPUs."""

    pool: str
    node: str
    sku: str
    state: TileState
    gpus: int
    held: int
    is_broken: bool = False

    @property
    def letter(self) -> str:
        return LETTERS[self.state]

    @property
    def words(self) -> str:
        return WORDS[self.state]

    @property
    def place(self) -> str:
        return f"{self.pool}/{self.node}"


@dataclass(frozen=True)
class PoolMap:
    """A pool with its machines."""

    name: str
    sku: str
    state: Readiness
    closure: str | None
    discipline: str
    is_open: bool
    gpus: int
    held: int
    maintenance: Sequence[Maintenance]
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Floor:
    """All pools at one moment, with the four figures above them. Units: whole GPUs, GPU-seconds."""

    pools: Sequence[PoolMap]
    free_gpus: int
    queued_gpu_seconds: int
    oldest_wait_at: datetime | None
    unhealthy: int


def draw_floor(seen: Overview) -> Floor:
    """Draw the pools as they are seen."""
    facts = seen.facts
    pools = [_draw_pool(judged, facts) for judged in seen.pools]
    tiles = [tile for pool in pools for tile in pool.tiles]
    return Floor(
        pools=pools,
        free_gpus=sum(max(0, tile.gpus - tile.held) for tile in tiles if tile.state in TAKING),
        queued_gpu_seconds=sum(each.left_gpu_seconds for each in facts.waiting),
        oldest_wait_at=min((each.oldest_at for each in facts.waiting), default=None),
        unhealthy=sum(tile.state in UNHEALTHY or tile.is_broken for tile in tiles),
    )


def _draw_pool(judged: JudgedPool, facts: Facts) -> PoolMap:
    pool = judged.pool
    holders = [holder for holder in facts.holders if holder.pool == pool.name]
    nodes = [(node.name, node.gpus, node.state) for node in judged.nodes]
    nodes = nodes or [(pool.name, pool.total_gpus, NodeState.OPEN)]
    names = {name for name, _gpus, _state in nodes}
    held: dict[str, int] = {}
    for holder in holders:
        name = holder.node if holder.node in names else nodes[0][0]
        held[name] = held.get(name, 0) + holder.gpus
    tiles = [
        Tile(
            pool.name,
            name,
            pool.sku,
            judge_tile(judged, name, state, gpus, held.get(name, 0), facts.now),
            gpus,
            held.get(name, 0),
            judged.readiness in BROKEN,
        )
        for name, gpus, state in nodes
    ]
    ahead = [window for window in pool.maintenance if window.ends_at > facts.now]
    total, used = sum(tile.gpus for tile in tiles), sum(tile.held for tile in tiles)
    return PoolMap(
        pool.name,
        pool.sku,
        judged.readiness,
        judged.closure,
        pool.discipline,
        pool.open,
        total,
        used,
        ahead,
        tiles,
    )


def judge_tile(judged: JudgedPool, name: str, state: NodeState, gpus: int, held: int, now: datetime) -> TileState:
    """Judge what a machine does: what is wrong with it goes before how full it is."""
    if state is NodeState.DOWN:
        return TileState.DOWN
    if state is NodeState.DRAINING or judged.readiness is Readiness.DRAINING:
        return TileState.DRAINING
    if any(_is_worked_on(window, name, now) for window in judged.pool.maintenance):
        return TileState.MAINTENANCE
    if not judged.is_ready and judged.readiness is not Readiness.NODES_CLOSED:
        return TileState.CLOSED
    if held <= 0:
        return TileState.FREE
    return TileState.FULL if held >= gpus else TileState.PARTLY


def _is_worked_on(window: Maintenance, name: str, now: datetime) -> bool:
    return window.begins_at <= now < window.ends_at and (window.nodes is None or name in window.nodes)


def find_tile(floor: Floor, place: str) -> Tile | None:
    """Find a machine by `pool/node`."""
    return next((tile for pool in floor.pools for tile in pool.tiles if tile.place == place), None)


@dataclass(frozen=True)
class RunningOn:
    """A job that holds GPUs of a machine. `expected_end`: by its p50; None: it is being stopped."""

    job_id: str
    contract_id: str
    customer: str
    queue: str
    gpus: int
    started_at: datetime
    expected_seconds: int | None


def list_running_on(seen: Overview, tile: Tile, is_alone: bool) -> list[RunningOn]:
    """List what runs on a machine, the longest first; `is_alone`: it is its whole pool."""
    holders = [
        holder for holder in seen.facts.holders if holder.pool == tile.pool and (is_alone or holder.node == tile.node)
    ]
    ranked = sorted(holders, key=lambda each: (each.started_at, each.job_id))
    return [_show_holder(seen.names, holder) for holder in ranked]


def _show_holder(names: Mapping[str, str], holder: DeviceHolder) -> RunningOn:
    customer = names.get(holder.contract_id, "")
    return RunningOn(
        holder.job_id,
        holder.contract_id,
        customer,
        holder.queue,
        holder.gpus,
        holder.started_at,
        holder.expected_seconds,
    )


@dataclass(frozen=True)
class HeldBar:
    """What a contract holds of a GPU type, in one bar: its own, what it borrows, and its limit. Units: whole GPUs.

    `own_width` and the others are shares of the bar of one hundred.
    """

    contract_id: str
    customer: str
    sku: str
    own: int
    borrowed: int
    limit: int | None
    own_width: float
    borrowed_width: float
    limit_at: float | None

    @property
    def held(self) -> int:
        return self.own + self.borrowed


MOST_BARS = 30


def draw_bars(seen: Overview) -> list[HeldBar]:
    """Draw what contracts hold, those that hold most first, on one scale for each type."""
    holding = [each for each in seen.standings if each.claim.held]
    ranked = sorted(holding, key=lambda each: (-each.claim.held, each.sku, each.contract_id))[:MOST_BARS]
    scales = {sku: max(1, _find_scale(seen, sku)) for sku in {each.sku for each in ranked}}
    return [_draw_bar(seen, each, scales[each.sku]) for each in ranked]


def _find_scale(seen: Overview, sku: str) -> int:
    held = max((each.claim.held for each in seen.standings if each.sku == sku), default=0)
    return max(held, seen.facts.capacity.get(sku, 0))


def _draw_bar(seen: Overview, standing: Standing, scale: int) -> HeldBar:
    own = standing.claim.held - standing.borrowed
    limit = seen.facts.limits.get(standing.contract_id)
    return HeldBar(
        contract_id=standing.contract_id,
        customer=seen.names[standing.contract_id],
        sku=standing.sku,
        own=own,
        borrowed=standing.borrowed,
        limit=limit,
        own_width=round(100 * own / scale, 2),
        borrowed_width=round(100 * standing.borrowed / scale, 2),
        limit_at=None if limit is None else round(min(100.0, 100 * limit / scale), 2),
    )
