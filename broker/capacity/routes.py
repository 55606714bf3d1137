"""Queues and pools for ops."""

from broker.capacity import service
from broker.capacity.schemas import PoolOut, PoolPatch, QueueOut, QueuePatch
from broker.http.edge import AnyKey, OpsWork, feature_router
from broker.http.shapes import Page

router = feature_router("", "capacity")


@router.get("/queues")
async def list_queues(work: AnyKey) -> Page[QueueOut]:
    """List the queues in the planner's order."""
    return Page(data=[QueueOut.model_validate(row) for row in await service.list_queues(work)], next_cursor=None)


@router.get("/queues/{name}")
async def get_queue(work: AnyKey, name: str) -> QueueOut:
    return QueueOut.model_validate(await service.get_queue(work, name))


@router.patch("/queues/{name}")
async def change_queue(work: OpsWork, name: str, body: QueuePatch) -> QueueOut:
    """Set a queue's priority, or open or close it."""
    return QueueOut.model_validate(await service.change_queue(work, name, priority=body.priority, is_open=body.open))


@router.get("/pools")
async def list_pools(work: AnyKey) -> Page[PoolOut]:
    return Page(data=[PoolOut.model_validate(row) for row in await service.list_pools(work)], next_cursor=None)


@router.get("/pools/{name}")
async def get_pool(work: AnyKey, name: str) -> PoolOut:
    return PoolOut.model_validate(await service.get_pool(work, name))


@router.patch("/pools/{name}")
async def change_pool(work: OpsWork, name: str, body: PoolPatch) -> PoolOut:
    """Open or close a pool; what runs on it runs on."""
    return PoolOut.model_validate(await service.change_pool(work, name, is_open=body.open))
