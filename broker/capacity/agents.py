"""Agents: each registers with the pool that it serves, is seen, drains, and leaves. One live agent a pool.

An agent belongs to a data directory, so it is the same after a restart and finds its runs again. Whoever holds the lock
of that directory speaks for it (`broker/execution/identity.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

import broker
from broker import errors
from broker.capacity.model import AGENT_PROTOCOL, CLUSTERS, PRESENT, AgentState, Discipline, NodeCapacity, judge_agent
from broker.capacity.tables import Agent, Pool, write_nodes
from broker.http.paging import fetch_page
from broker.persistence.database import narrow, wake_dispatcher
from broker.work import Work


class PoolServed(errors.OperatorError):
    """Another live agent serves the pool."""


@dataclass(frozen=True)
class AgentCard:
    """What an agent registers with. Units: whole devices, or CPU slots."""

    id: str
    pool: str
    host: str
    boot_id: str
    data_dir: str
    engine: str
    sku: str
    gpus: int
    nodes: tuple[NodeCapacity, ...] = ()


async def register_agent(work: Work, card: AgentCard) -> None:
    """Register an agent as the one of its pool, with its devices; whether ops has closed the pool stays as it is.

    Failed starts of before are forgotten. Raises: PoolServed.
    """
    pool = await _lock_pool(work, card)
    serving = None if pool.agent_id is None else await work.session.get_one(Agent, pool.agent_id)
    _check_is_free(work, card, serving)
    row = {name: value for name, value in vars(card).items() if name != "nodes"}
    row |= {"nodes_told": write_nodes(card.nodes), "version": broker.__version__, "state": AgentState.LIVE.value}
    row |= {"protocol": AGENT_PROTOCOL}
    row |= {"started_at": work.now, "last_seen_at": work.now, "ended_at": None}
    new = insert(Agent).values(row | {"created_at": work.now})
    await work.session.execute(new.on_conflict_do_update(index_elements=[Agent.id], set_=row))
    pool.agent_id, pool.sku, pool.engine, pool.total_gpus = card.id, card.sku, card.engine, card.gpus
    pool.failed_starts, pool.rests_until, pool.rest_reason = 0, None, None
    await wake_dispatcher(work.session)


async def _lock_pool(work: Work, card: AgentCard) -> Pool:
    row = {"name": card.pool, "sku": card.sku, "engine": card.engine, "total_gpus": card.gpus, "open": True}
    row |= {"discipline": Discipline.FAIR.value, "drained_nodes": [], "down_nodes": [], "maintenance_told": []}
    new = insert(Pool).values(row | {"failed_starts": 0, "created_at": work.now})
    await work.session.execute(new.on_conflict_do_nothing(index_elements=[Pool.name]))
    return await work.session.get_one(Pool, card.pool, with_for_update=True, populate_existing=True)


def _check_is_free(work: Work, card: AgentCard, serving: Agent | None) -> None:
    """Refuse a pool whose agent is present elsewhere: in another data directory, or as a copy on another machine."""
    if serving is None or (serving.id == card.id and serving.boot_id == card.boot_id):
        return
    if judge(work, serving) in PRESENT:
        age = (work.now - serving.last_seen_at).total_seconds()
        raise PoolServed(
            f"BROKER_POOL: pool {card.pool} is served by the agent of {serving.data_dir} on {serving.host}, seen"
            f" {max(0, round(age))} s ago; name another pool for this process, run nothing here (BROKER_LOCAL_SLOTS=0),"
            " or stop that one first"
        )


async def tell_capacity(work: Work, card: AgentCard) -> None:
    """Tell what an agent's pool has now, where nodes came or went; a pool that has another agent stays as it is."""
    pool = await work.session.get_one(Pool, card.pool, with_for_update=True, populate_existing=True)
    if pool.agent_id != card.id:
        return
    pool.total_gpus = card.gpus
    telling = update(Agent).where(Agent.id == card.id)
    await work.session.execute(telling.values(gpus=card.gpus, nodes_told=write_nodes(card.nodes)))
    await wake_dispatcher(work.session)


async def renew_agent(work: Work, card: AgentCard, machine_load: float | None = None) -> bool:
    """Renew an agent's lease; False where its pool has another agent: it was silent, and may run nothing more.

    `machine_load` is that of its machine for each core; None where the agent does not tell.
    """
    mine = select(Pool.name).where(Pool.name == card.pool, Pool.agent_id == card.id)
    renewing = (
        update(Agent)
        .where(Agent.id == card.id, Agent.boot_id == card.boot_id, mine.exists())
        .values(last_seen_at=work.now, machine_load=machine_load)
        .returning(Agent.id)
    )
    return await work.session.scalar(renewing) is not None


async def drain_agent(work: Work, card: AgentCard) -> None:
    """Close an agent's pool to starts; no cycle is at its plan with it when this is committed."""
    await _say(work, card, AgentState.DRAINING)


async def retire_agent(work: Work, card: AgentCard) -> None:
    """Say goodbye for an agent that runs nothing any more: its pool is free for another at once."""
    await _say(work, card, AgentState.GONE)


async def _say(work: Work, card: AgentCard, state: AgentState) -> None:
    await work.session.execute(select(Pool.name).where(Pool.name == card.pool).with_for_update())
    ended_at = work.now if state == AgentState.GONE else None
    saying = update(Agent).where(Agent.id == card.id, Agent.boot_id == card.boot_id)
    await work.session.execute(saying.values(state=state.value, last_seen_at=work.now, ended_at=ended_at))
    await wake_dispatcher(work.session)


def judge(work: Work, agent: Agent) -> AgentState:
    """Judge an agent as of now, by its own word and its last renewal."""
    lease = timedelta(seconds=work.settings.lease_seconds)
    return judge_agent(AgentState(agent.state), agent.last_seen_at, now=work.now, lease=lease)


def find_site(agent: Agent) -> str:
    """Find where an agent's devices are: on its machine, or in the cluster of its pool, whoever speaks for that."""
    return f"{agent.engine} of {agent.pool}" if agent.engine in CLUSTERS else agent.boot_id


def select_agents() -> Select[Agent]:
    return select(Agent)


@dataclass(frozen=True)
class AgentPage:
    """A page of agents, the newest first, with how many there are in all."""

    agents: list[Agent]
    total: int
    next_cursor: str | None


async def read_page(work: Work, pool: str | None, *, limit: int, cursor: str | None) -> AgentPage:
    """Read a page of the agents that have served a pool, or any."""
    query = narrow(select_agents(), pool=pool)
    total = await work.session.scalar(select(func.count()).select_from(query.subquery()))
    rows, after = await fetch_page(work.session, query, Agent, limit=limit, cursor=cursor)
    return AgentPage(rows, total or 0, after)


async def get_agent(work: Work, agent_id: str) -> Agent:
    """Get an agent. Raises: NotFound."""
    agent = await work.session.get(Agent, agent_id)
    if agent is None:
        raise errors.NotFound("agent", agent_id)
    return agent


async def list_agents_of(work: Work, agent_ids: Collection[str]) -> dict[str, Agent]:
    """List agents by their ids."""
    if not agent_ids:
        return {}
    return {agent.id: agent for agent in await work.session.scalars(select(Agent).where(Agent.id.in_(agent_ids)))}


async def list_recent_agents(work: Work, *, since: datetime) -> list[Agent]:
    """List the agents that are there, and those that were seen since a moment, by id."""
    present = Agent.state != AgentState.GONE.value
    query = select(Agent).where(present | (Agent.last_seen_at >= since)).order_by(Agent.id)
    return list(await work.session.scalars(query))
