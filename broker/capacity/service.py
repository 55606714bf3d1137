"""Queues and pools: what ops sees and tunes, and what an engine registers."""

from sqlalchemy import ScalarSelect, select
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.capacity.tables import Pool, Queue
from broker.contracts.model import ContractTerms, dedicated_queue_name
from broker.work import Work

STANDARD_QUEUE = "standard"
DEDICATED_PRIORITY = 300


async def register_pool(work: Work, *, name: str, sku: str, engine: str, total_gpus: int) -> None:
    """Tell what an engine has; what ops has set (open) stays."""
    row = {
        "name": name,
        "sku": sku,
        "engine": engine,
        "total_gpus": total_gpus,
        "open": True,
        "created_at": work.now,
    }
    kept = {"sku": sku, "engine": engine, "total_gpus": total_gpus}
    await work.session.execute(insert(Pool).values(row).on_conflict_do_update(index_elements=[Pool.name], set_=kept))


async def create_dedicated_queue(work: Work, terms: ContractTerms) -> Queue:
    """The queue of a long-term contract's own."""
    queue = Queue(
        name=dedicated_queue_name(terms.id),
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
    """The queue a job enters: its plan's, or the standard queue where the customer asks for it.

    Raises: InvalidRequest.
    """
    home = terms.home_queue
    if wanted is None or wanted == home:
        return home
    if wanted != STANDARD_QUEUE:
        raise errors.invalid_field("queue", f"this contract's jobs may enter {home} or {STANDARD_QUEUE}")
    return wanted


def select_first_sku() -> ScalarSelect[str]:
    """The device type of the first open pool, for a statement that asks for more; null where none is open."""
    return select(Pool.sku).where(Pool.open, Pool.total_gpus > 0).order_by(Pool.name).limit(1).scalar_subquery()


async def list_skus(work: Work) -> list[str]:
    """Device types that an open pool has, or else the broker's own setting."""
    query = select(Pool.sku).where(Pool.open, Pool.total_gpus > 0).distinct().order_by(Pool.sku)
    return list(await work.session.scalars(query)) or [work.settings.local_sku]


async def get_queue(work: Work, name: str) -> Queue:
    """Raises: NotFound."""
    queue = await work.session.get(Queue, name)
    if queue is None:
        raise errors.NotFound("queue", name)
    return queue


async def get_pool(work: Work, name: str) -> Pool:
    """Raises: NotFound."""
    pool = await work.session.get(Pool, name)
    if pool is None:
        raise errors.NotFound("pool", name)
    return pool
