"""Queues, and the types of device that pools have: what ops sees and tunes, and what admission and quotes ask for."""

from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, select

from broker import errors
from broker.capacity.tables import Agent, Pool, Queue
from broker.contracts.terms.model import ContractTerms, dedicated_queue_name
from broker.persistence.database import wake_dispatcher
from broker.work import Work

__all__ = [
    "Pool",
    "Queue",
    "change_queue",
    "get_queue",
    "list_queues",
    "list_skus",
    "provide_dedicated_queue",
    "resolve_queue",
    "select_first_load",
    "select_first_sku",
]

STANDARD_QUEUE = "standard"
DEDICATED_PRIORITY = 300


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
        open=True,
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


def select_first_sku() -> ScalarSelect[str]:
    """Select the device type of the first open pool, as part of a larger statement; null where none is open."""
    return select(Pool.sku).where(Pool.open, Pool.total_gpus > 0).order_by(Pool.name).limit(1).scalar_subquery()


def select_first_load(seen_since: ColumnElement[datetime]) -> ScalarSelect[float | None]:
    """Select the load of the machine behind the first open pool, as part of a larger statement.

    Null where no pool is open, and where its agent has not told since that moment.
    """
    telling = (Pool.agent_id == Agent.id) & (Agent.last_seen_at >= seen_since)
    load = select(Agent.machine_load).select_from(Pool).outerjoin(Agent, telling)
    return load.where(Pool.open, Pool.total_gpus > 0).order_by(Pool.name).limit(1).scalar_subquery()


async def list_skus(work: Work) -> list[str]:
    """List the device types that open pools have, or else the broker's own setting."""
    query = select(Pool.sku).where(Pool.open, Pool.total_gpus > 0).distinct().order_by(Pool.sku)
    return list(await work.session.scalars(query)) or [work.settings.local_sku]


async def list_queues(work: Work) -> list[Queue]:
    """List the queues in the planner's order."""
    return list(await work.session.scalars(select(Queue).order_by(Queue.priority.desc(), Queue.name)))


async def get_queue(work: Work, name: str) -> Queue:
    """Get a queue. Raises: NotFound."""
    queue = await work.session.get(Queue, name)
    if queue is None:
        raise errors.NotFound("queue", name)
    return queue


async def change_queue(work: Work, name: str, *, priority: int | None, is_open: bool | None) -> Queue:
    """Set a queue's priority, or open or close it, and have the next cycle planned at once. Raises: NotFound."""
    queue = await get_queue(work, name)
    if priority is not None:
        queue.priority = priority
    if is_open is not None:
        queue.open = is_open
    await wake_dispatcher(work.session)
    return queue
