"""Queues, and the types of device that pools have: what ops sees and tunes, and what admission and quotes ask for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, ScalarSelect, Text, any_, bindparam, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from broker import errors
from broker.capacity.model import QueueState
from broker.capacity.tables import Agent, Pool, Queue
from broker.contracts.terms.model import ContractTerms, dedicated_queue_name
from broker.persistence.database import wake_dispatcher
from broker.persistence.driver import Command, Statement, require
from broker.work import Work
from pricing.catalog import find_gpu, get_gpu
from pricing.catalog.gpu import GpuProfile

__all__ = [
    "DRAINING_QUEUES",
    "STANDARD_QUEUE",
    "Pool",
    "PoolType",
    "Queue",
    "change_queue",
    "get_queue",
    "list_open_types",
    "list_pool_types",
    "list_queues",
    "list_skus",
    "provide_dedicated_queue",
    "read_pool_types",
    "require_taking",
    "resolve_queue",
    "select_pool_types",
]

STANDARD_QUEUE = "standard"
DEDICATED_PRIORITY = 300
# The names of the queues that take no jobs, as one of several questions; few or none.
ARE_DRAINING = Queue.state == literal_column("'draining'")
DRAINING_QUEUES = Statement(select(Queue.name).where(ARE_DRAINING))
REQUIRE_TAKING = require(~exists().where(ARE_DRAINING, Queue.name == any_(bindparam("names", type_=ARRAY(Text)))))


def require_taking(queue_names: Collection[str]) -> Command:
    """Make the command that ends its message where one of these queues takes no jobs."""
    return Command(REQUIRE_TAKING, {"names": sorted(queue_names)})


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
    return list(await work.session.scalars(select(Queue).order_by(Queue.priority.desc(), Queue.name)))


async def get_queue(work: Work, name: str) -> Queue:
    """Get a queue. Raises: NotFound."""
    queue = await work.session.get(Queue, name)
    if queue is None:
        raise errors.NotFound("queue", name)
    return queue


async def change_queue(work: Work, name: str, changes: Mapping[str, Any]) -> Queue:
    """Change columns of a queue, by their names, and have the next cycle planned at once.

    `open` is how a state was asked for before there were three: true is open, false is holding. What it changed is
    noted for the record.

    Raises: NotFound, InvalidRequest.
    """
    queue = await _lock_queue(work, name)
    changes = _name_state(changes)
    if changes.get("lending_limit") is not None and queue.contract_id is None:
        told = "is of a contract's dedicated queue, to which GPUs are guaranteed; leave it out for a shared one"
        raise errors.invalid_field("lending_limit", told)
    allowed = changes.get("allowed_pools")
    if allowed is not None:
        await _check_pools(work, allowed)
    before = {column: getattr(queue, column) for column in changes}
    for column, value in changes.items():
        setattr(queue, column, value)
    work.note_change("queue", name, before, changes)
    await wake_dispatcher(work.session)
    return queue


async def _lock_queue(work: Work, name: str) -> Queue:
    queue = await work.session.get(Queue, name, with_for_update={"key_share": True}, populate_existing=True)
    if queue is None:
        raise errors.NotFound("queue", name)
    return queue


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
