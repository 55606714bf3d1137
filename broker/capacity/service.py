"""Queues, and the types of device that pools have: what ops sees and tunes, and what admission and quotes ask for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    ScalarSelect,
    Text,
    bindparam,
    column,
    exists,
    false,
    func,
    inspect,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from broker import errors
from broker.capacity.model import QueueState
from broker.capacity.tables import Agent, ContractQuota, Pool, Queue
from broker.contracts.terms.model import ContractTerms, dedicated_queue_name
from broker.http.versions import require_version
from broker.persistence.database import wake_dispatcher
from broker.persistence.driver import Command, Row, RowFormat, Statement, require
from broker.work import Work
from pricing.catalog import find_gpu, get_gpu
from pricing.catalog.gpu import GpuProfile

__all__ = [
    "ENTRY_BOUNDS",
    "STANDARD_QUEUE",
    "Entry",
    "EntryBounds",
    "Pool",
    "PoolType",
    "Queue",
    "change_queue",
    "find_queues",
    "get_queue",
    "list_open_types",
    "list_pool_types",
    "list_queue_settings",
    "list_queues",
    "list_skus",
    "provide_dedicated_queue",
    "read_entry_bounds",
    "read_pool_types",
    "read_queues",
    "require_room",
    "resolve_queue",
    "select_pool_types",
]

STANDARD_QUEUE = "standard"
DEDICATED_PRIORITY = 300
# What ops may set of a queue.
QUEUE_SETTINGS = (
    *("priority", "state", "weight", "max_wait_seconds", "max_jobs", "max_gpus", "max_gpu_hours"),
    *("window_hours", "allowed_pools", "lending_limit"),
)
PLANNERS_ORDER = (Queue.priority.desc(), Queue.name)
QUEUE_ROWS = RowFormat(Queue)
QUEUES = Statement(select(*inspect(Queue).local_table.columns).order_by(*PLANNERS_ORDER))
# What keeps jobs out at the door, as one of several questions: few queues and contracts, or none.
IS_DRAINING = Queue.state == literal_column("'draining'")
ENTRY_BOUNDS = Statement(
    union_all(
        select(Queue.name, IS_DRAINING, Queue.max_gpus).where(IS_DRAINING | Queue.max_gpus.is_not(None)),
        select(ContractQuota.contract_id, false(), ContractQuota.max_gpus).where(ContractQuota.max_gpus.is_not(None)),
    )
)
ENTERED = (
    func.unnest(
        *(
            bindparam(name, type_=ARRAY(kind))
            for name, kind in (("queues", Text), ("contracts", Text), ("gpus", BigInteger))
        )
    )
    .table_valued(column("queue", Text), column("contract_id", Text), column("gpus", BigInteger), name="entered")
    .render_derived()
)
REQUIRE_ROOM = require(
    ~exists().where(
        (Queue.name == ENTERED.c.queue)
        & (IS_DRAINING | Queue.max_gpus.is_not(None))
        & (IS_DRAINING | (Queue.max_gpus < ENTERED.c.gpus))
    )
    & ~exists().where(ContractQuota.contract_id == ENTERED.c.contract_id, ContractQuota.max_gpus < ENTERED.c.gpus)
)


class Entry(NamedTuple):
    """A job of so many GPUs of a contract that enters a queue."""

    queue: str
    contract_id: str
    gpus: int


def require_room(entries: Collection[Entry]) -> Command:
    """Make the command that ends its message where something at the door keeps one of these jobs out."""
    return Command(
        REQUIRE_ROOM,
        {
            "queues": [entry.queue for entry in entries],
            "contracts": [entry.contract_id for entry in entries],
            "gpus": [entry.gpus for entry in entries],
        },
    )


async def provide_dedicated_queue(work: Work, terms: ContractTerms) -> Queue:
    """Create the dedicated queue of a long-term contract, where it has none yet."""
    name = dedicated_queue_name(terms.id)
    known = await work.session.get(Queue, name)
    if known is not None:
        return known
    queue = Queue(
        name=name,
        customer_id=terms.customer_id,
        contract_id=terms.id,
        priority=DEDICATED_PRIORITY,
        created_at=work.now,
    )
    work.session.add(queue)
    await work.session.flush()
    return queue


def resolve_queue(terms: ContractTerms, wanted: str | None) -> str:
    """Choose the queue that a job enters: its plan's, or the standard queue where the customer asks for it.

    Raises: InvalidRequest.
    """
    home = terms.home_queue
    if wanted is None or wanted == home:
        return home
    if wanted != STANDARD_QUEUE:
        raise errors.invalid_field("queue", f"this contract's jobs may enter {home} or {STANDARD_QUEUE}")
    return wanted


@dataclass(frozen=True)
class EntryBounds:
    """Which queues take no jobs, and how many GPUs a job may have, by queue or contract; where none is said, any."""

    draining: frozenset[str] = frozenset()
    most_gpus: Mapping[str, int] = field(default_factory=dict)

    def require_room(self, queue: str, contract_id: str, gpus: int) -> None:
        """Refuse a job that its queue does not take, or that is larger than what ever runs of its queue or contract.

        Raises: QueueDraining, TooLargeForLimit.
        """
        if queue in self.draining:
            raise errors.QueueDraining(queue)
        for whose, name in ((f"queue {queue}", queue), (f"contract {contract_id}", contract_id)):
            most = self.most_gpus.get(name)
            if most is not None and gpus > most:
                raise errors.TooLargeForLimit(whose, gpus, most)


def read_entry_bounds(rows: Iterable[Sequence[Any]]) -> EntryBounds:
    """Read what `ENTRY_BOUNDS` found."""
    found = list(rows)
    most_gpus = {name: most for name, _is_draining, most in found if most is not None}
    return EntryBounds(frozenset(name for name, is_draining, _most in found if is_draining), most_gpus)


@dataclass(frozen=True)
class PoolType:
    """A type of device that a pool has. `machine_load`: that of the machine behind it; None: it has not told.

    `largest`: so many devices has the machine that has most of them; None: no pool is known, and nobody tells.
    """

    gpu: GpuProfile
    machine_load: float | None = None
    largest: int | None = None


def select_pool_types(seen_since: ColumnElement[datetime]) -> ScalarSelect[Any]:
    """Select the pools' device types by the pools' names, as part of a larger statement; see `read_pool_types`.

    With each comes whether its pool is open and has devices, and its machine's load, where its agent has told since
    that moment.
    """
    telling = (Pool.agent_id == Agent.id) & (Agent.last_seen_at >= seen_since)
    is_open = Pool.open & (Pool.total_gpus > 0)
    each = func.jsonb_build_array(Pool.sku, Agent.machine_load, Pool.total_gpus, Agent.nodes_told, is_open)
    listed = select(func.jsonb_agg(aggregate_order_by(each, Pool.name))).select_from(Pool).outerjoin(Agent, telling)
    return listed.scalar_subquery()


def read_pool_types(written: Sequence[Sequence[Any]] | None, otherwise: str) -> list[PoolType]:
    """Read each type once out of what `select_pool_types` selected: those of open pools, or else of all that are known.

    A job may wait for a pool that is closed now, and for none of a type that no pool has. `otherwise` is the type where
    no pool is known.
    Raises: pricing.catalog.UnknownGpu, where the catalogue has none of them.
    """
    told = written or ()
    known = list_pool_types([pool for pool in told if pool[-1]] or told)
    first = otherwise if not told else told[0][0]
    return known or [PoolType(get_gpu(first))]


def list_pool_types(written: Iterable[Sequence[Any]]) -> list[PoolType]:
    """List each type once of pools as `select_pool_types` selected them; one that the catalogue has not is left out."""
    known: dict[str, PoolType] = {}
    for sku, load, total, nodes, _is_open in written:
        gpu = find_gpu(sku)
        if gpu is not None:
            earlier = known.setdefault(gpu.sku, PoolType(gpu, load))
            largest = max((node["gpus"] for node in nodes), default=0) if nodes else total
            known[gpu.sku] = replace(earlier, largest=max(earlier.largest or 1, largest))
    return list(known.values())


async def list_open_types(work: Work) -> list[str]:
    """List the types of device that open pools have, as the catalogue names them."""
    rows = await work.session.scalars(select(Pool.sku).where(Pool.open, Pool.total_gpus > 0).order_by(Pool.name))
    return list(dict.fromkeys(gpu.sku for gpu in map(find_gpu, rows) if gpu is not None))


async def list_skus(work: Work) -> list[str]:
    """List the device types that open pools have, or else those of all pools, or else the broker's own setting."""
    is_open = Pool.open & (Pool.total_gpus > 0)
    rows = (await work.session.execute(select(Pool.sku, is_open).order_by(Pool.sku))).all()
    skus = [sku for sku, is_open in rows if is_open] or [sku for sku, _is_open in rows]
    return list(dict.fromkeys(skus)) or [work.settings.gpu_type]


async def list_queues(work: Work) -> list[Queue]:
    """List the queues in the planner's order."""
    return list(await work.session.scalars(select(Queue).order_by(*PLANNERS_ORDER)))


def find_queues() -> Command:
    """Make the command that finds the queues in the planner's order."""
    return Command(QUEUES)


def read_queues(rows: Iterable[Row]) -> list[Queue]:
    """Read the queues from the rows of `find_queues`. They are records: nobody changes them."""
    return [QUEUE_ROWS.read(row) for row in rows]


async def get_queue(work: Work, name: str) -> Queue:
    """Get a queue. Raises: NotFound."""
    queue = await work.session.get(Queue, name)
    if queue is None:
        raise errors.NotFound("queue", name)
    return queue


def list_queue_settings(queue: Queue) -> dict[str, Any]:
    """List what ops may set of a queue. Pure."""
    return {name: getattr(queue, name) for name in QUEUE_SETTINGS}


async def change_queue(work: Work, name: str, changes: Mapping[str, Any], seen: str | None = None) -> Queue:
    """Change columns of a queue, by their names, and have the next cycle planned at once.

    `open` is how a state was asked for before there were three: true is open, false is holding. What it changed is
    noted for the record. `seen`: the version that whoever changes it has looked at.

    Raises: NotFound, InvalidRequest, VersionMismatch.
    """
    queue = await _lock_queue(work, name)
    changes = _name_state(changes)
    require_version(seen, list_queue_settings(queue), changes, what=("queue", name))
    if changes.get("lending_limit") is not None and queue.contract_id is None:
        told = "is of a contract's dedicated queue, to which GPUs are guaranteed; leave it out for a shared one"
        raise errors.invalid_field("lending_limit", told)
    allowed = changes.get("allowed_pools")
    if allowed is not None:
        await _check_pools(work, allowed)
    changes = _complete_window(queue, changes)
    before = {name_of: getattr(queue, name_of) for name_of in changes}
    for name_of, value in changes.items():
        setattr(queue, name_of, value)
    work.note_change("queue", name, before, changes)
    await wake_dispatcher(work.session)
    return queue


async def _lock_queue(work: Work, name: str) -> Queue:
    queue = await work.session.get(Queue, name, with_for_update={"key_share": True}, populate_existing=True)
    if queue is None:
        raise errors.NotFound("queue", name)
    return queue


def _complete_window(queue: Queue, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have GPU-hours and their window go together: who takes away one alone takes away both. Raises: InvalidRequest."""
    names = ("max_gpu_hours", "window_hours")
    if not changes.keys() & set(names):
        return changes
    after = {name: changes.get(name, getattr(queue, name)) for name in names}
    if None not in after.values() or set(after.values()) == {None}:
        return changes
    if [changes[name] for name in names if name in changes] == [None]:
        return {**changes, **dict.fromkeys(names)}
    missing = next(name for name in names if after[name] is None)
    raise errors.invalid_field(missing, "is needed with the other: GPU-hours are counted within a window")


def _name_state(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name the state that changes ask for by `open`. Raises: InvalidRequest, where they name another one, too."""
    if "open" not in changes:
        return changes
    is_open, rest = changes["open"], {name: value for name, value in changes.items() if name != "open"}
    state = rest.get("state")
    if state is not None and QueueState(state).starts_jobs != is_open:
        raise errors.invalid_field("open", f"contradicts state {state}; leave it out")
    return {"state": QueueState.OPEN.value if is_open else QueueState.HOLDING.value, **rest}


async def _check_pools(work: Work, names: Sequence[str]) -> None:
    known = set(await work.session.scalars(select(Pool.name)))
    strange = [name for name in names if name not in known]
    if strange:
        there_are = ", ".join(sorted(known)) or "none"
        raise errors.invalid_field("allowed_pools", f"there is no pool {strange[0]}; there are: {there_are}")
