"""Queues and pools for ops."""

from sqlalchemy import select

from broker.capacity import service
from broker.capacity.schemas import PoolOut, PoolPatch, QueueOut, QueuePatch
from broker.capacity.tables import Pool, Queue
from broker.http.edge import AnyKey, OpsWork, feature_router
from broker.http.shapes import Page
from broker.persistence.database import wake_dispatcher

router = feature_router("", "scheduling")


@router.get("/queues")
async def list_queues(work: AnyKey) -> Page[QueueOut]:
    """The queues in the planner's order."""
    rows = await work.session.scalars(select(Queue).order_by(Queue.priority.desc(), Queue.name))
    return Page(data=[QueueOut.model_validate(row) for row in rows], next_cursor=None)


@router.get("/queues/{name}")
async def get_queue(work: AnyKey, name: str) -> QueueOut:
    return QueueOut.model_validate(await service.get_queue(work, name))


@router.patch("/queues/{name}")
async def change_queue(work: OpsWork, name: str, body: QueuePatch) -> QueueOut:
    """Set a queue's priority, or open or close it."""
    queue = await service.get_queue(work, name)
    for field, value in body.model_dump(exclude_none=True).items():
        setattr(queue, field, value)
    await wake_dispatcher(work.session)
    return QueueOut.model_validate(queue)


@router.get("/pools")
async def list_pools(work: AnyKey) -> Page[PoolOut]:
    rows = await work.session.scalars(select(Pool).order_by(Pool.name))
    return Page(data=[PoolOut.model_validate(row) for row in rows], next_cursor=None)


@router.get("/pools/{name}")
async def get_pool(work: AnyKey, name: str) -> PoolOut:
    return PoolOut.model_validate(await service.get_pool(work, name))


@router.patch("/pools/{name}")
async def change_pool(work: OpsWork, name: str, body: PoolPatch) -> PoolOut:
    """Open or close a pool; what runs on it runs on."""
    pool = await service.get_pool(work, name)
    if body.open is not None:
        pool.open = body.open
    await wake_dispatcher(work.session)
    return PoolOut.model_validate(pool)
