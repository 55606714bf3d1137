"""Queues, pools and agents for ops."""

from fastapi import Response

from broker.capacity import agents, readiness, service
from broker.capacity.pool_changes import list_pool_settings
from broker.capacity.readiness import JudgedPool
from broker.capacity.schemas import AgentOut, PoolOut, QueueOut
from broker.capacity.tables import Agent
from broker.http.edge import AnyKey, OpsWork, feature_router
from broker.http.paging import cut_page, fetch_page
from broker.http.shapes import Cursor, Limit, NameCursor, Page
from broker.http.versions import ETAG, make_etag
from broker.work import STAFF, Work

router = feature_router("", "capacity")


@router.get("/queues")
async def list_queues(work: AnyKey, limit: Limit = 100, cursor: NameCursor = None) -> Page[QueueOut]:
    """List the queues in the planner's order."""
    queues = await service.list_queues(work)
    page, after = cut_page(queues, lambda queue: queue.name, limit=limit, cursor=cursor)
    return Page(data=[QueueOut.model_validate(row) for row in page], next_cursor=after)


@router.get("/queues/{name}")
async def get_queue(work: AnyKey, response: Response, name: str) -> QueueOut:
    queue = await service.get_queue(work, name)
    response.headers[ETAG] = make_etag(service.list_queue_settings(queue))
    return QueueOut.model_validate(queue)


@router.get("/pools")
async def list_pools(work: AnyKey, limit: Limit = 100, cursor: NameCursor = None) -> Page[PoolOut]:
    """List the pools, and whether each takes jobs now."""
    pools = await readiness.list_pools(work)
    page, after = cut_page(pools, lambda judged: judged.pool.name, limit=limit, cursor=cursor)
    return Page(data=[_show(work, judged) for judged in page], next_cursor=after)


@router.get("/pools/{name}")
async def get_pool(work: AnyKey, response: Response, name: str) -> PoolOut:
    """Get a pool, and whether it takes jobs now."""
    judged = await readiness.get_pool(work, name)
    response.headers[ETAG] = make_etag(list_pool_settings(judged.pool))
    return _show(work, judged)


def _show(work: Work, pool: JudgedPool) -> PoolOut:
    return PoolOut.of(pool, for_staff=work.actor.role in STAFF)


@router.get("/agents")
async def list_agents(work: OpsWork, limit: Limit = 20, cursor: Cursor = None) -> Page[AgentOut]:
    """List the agents that have ever served a pool, the newest first, and when each was seen last."""
    rows, following = await fetch_page(work.session, agents.select_agents(), Agent, limit=limit, cursor=cursor)
    return Page(data=[AgentOut.of(row, agents.judge(work, row)) for row in rows], next_cursor=following)


@router.get("/agents/{agent_id}")
async def get_agent(work: OpsWork, agent_id: str) -> AgentOut:
    """Get an agent, and when it was seen last."""
    agent = await agents.get_agent(work, agent_id)
    return AgentOut.of(agent, agents.judge(work, agent))
