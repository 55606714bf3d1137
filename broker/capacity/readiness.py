"""Which pools take jobs now: by the word of ops, by their agent's sign of life, and by how their last starts went."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, inspect, null, select, update

from broker import errors
from broker.capacity import agents
from broker.capacity.model import (
    AGENT_PROTOCOL,
    SIMULATED,
    NodeCapacity,
    NodeState,
    PoolFacts,
    Readiness,
    Rest,
    apply_word,
    judge_pool,
    plan_rest,
)
from broker.capacity.tables import Agent, Pool
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.work import Work
from pricing.catalog import find_gpu

LONGEST_REASON = 500
POOLS, AGENTS = RowFormat(Pool), RowFormat(Agent)
POOLS_WITH_AGENTS = (
    select(*inspect(Pool).local_table.columns, *inspect(Agent).local_table.columns)
    .outerjoin_from(Pool, Agent, Pool.agent_id == Agent.id)
    .order_by(Pool.name)
)
LIST_POOLS, LOCK_POOLS = (
    Statement(POOLS_WITH_AGENTS),
    Statement(POOLS_WITH_AGENTS.with_for_update(read=True, of=Pool)),
)
SITES = Statement(
    select(Pool.name, Pool.agent_id, Pool.sku, Pool.engine)
    .where(Pool.name == any_(bindparam("names", type_=ARRAY(Text))))
    .order_by(Pool.name)
)
FORGET_FAILED_STARTS = Statement(
    update(Pool)
    .where(Pool.name == any_(bindparam("names", type_=ARRAY(Text))), Pool.rest_reason.is_not(None))
    .values(failed_starts=0, rests_until=null(), rest_reason=null())
)


@dataclass(frozen=True)
class JudgedPool:
    """A pool with its agent, and whether it takes jobs; `closure` says why not, in a sentence without machine names."""

    pool: Pool
    agent: Agent | None
    readiness: Readiness
    closure: str | None

    @property
    def is_ready(self) -> bool:
        return self.readiness == Readiness.OPEN

    @property
    def nodes(self) -> tuple[NodeCapacity, ...]:
        """List the machines of a cluster, as its engine and ops say they are; none where the pool is one machine."""
        return _list_nodes(self.pool, self.agent)

    @property
    def total_gpus(self) -> int:
        """Count the devices of nodes that take starts, or, where none does, of all that the engine has."""
        return sum(node.gpus for node in self.nodes if node.state is NodeState.OPEN) or self.pool.total_gpus


async def list_pools(work: Work, *, locked: bool = False) -> list[JudgedPool]:
    """List the pools by name as they are now. Locked: no agent drains or registers before the transaction ends."""
    (rows,) = await work.run_together([find_pools(locked=locked)])
    return read_pools(work, rows)


def find_pools(*, locked: bool = False) -> Command:
    """Make the command that finds the pools with their agents, by name; see `list_pools`."""
    return Command(LOCK_POOLS if locked else LIST_POOLS)


def read_pools(work: Work, rows: Iterable[Row]) -> list[JudgedPool]:
    """Read the pools, as they are now, from the rows of `find_pools`. They are records: nobody changes them."""
    return [_judge(work, *_read_pool(row)) for row in rows]


def _read_pool(row: Row) -> tuple[Pool, Agent | None]:
    pool, agent = row[: len(POOLS.names)], row[len(POOLS.names) :]
    return POOLS.read(pool), None if agent[AGENTS.names.index("id")] is None else AGENTS.read(agent)


async def count_gpus(work: Work) -> dict[str, int]:
    """Count the GPUs of all pools together by type, busy and drained ones included, whether or not they are served."""
    counted: Counter[str] = Counter()
    for pool in await work.session.scalars(select(Pool)):
        gpu = find_gpu(pool.sku)
        counted[pool.sku if gpu is None else gpu.sku] += pool.total_gpus
    return counted


async def get_pool(work: Work, name: str) -> JudgedPool:
    """Get a pool as it is now. Raises: NotFound."""
    row = (await work.session.execute(_select_pools().where(Pool.name == name))).one_or_none()
    if row is None:
        raise errors.NotFound("pool", name)
    return _judge(work, *row)


def _select_pools() -> Select[Pool, Agent]:
    return select(Pool, Agent).outerjoin(Agent, Pool.agent_id == Agent.id)


def _judge(work: Work, pool: Pool, agent: Agent | None) -> JudgedPool:
    facts = PoolFacts(
        name=pool.name,
        is_open=pool.open,
        agent=None if agent is None else agents.judge(work, agent),
        last_seen_at=None if agent is None else agent.last_seen_at,
        nodes=_list_nodes(pool, agent),
        protocol=AGENT_PROTOCOL if agent is None else agent.protocol,
        rest=None if pool.rest_reason is None else Rest(pool.failed_starts, pool.rests_until),
    )
    return JudgedPool(pool, agent, *judge_pool(facts, now=work.now))


def _list_nodes(pool: Pool, agent: Agent | None) -> tuple[NodeCapacity, ...]:
    """List the nodes of a pool; of one that is one machine none, unless ops says something of that."""
    told = () if agent is None else agent.nodes
    if not told and pool.name in {*pool.drained_nodes, *pool.down_nodes}:
        told = (NodeCapacity(pool.name, pool.total_gpus),)
    return apply_word(told, pool.drained_nodes, pool.down_nodes)


@dataclass(frozen=True)
class Site:
    """Where the runs of a pool are: the agent that they belong to, None where none has ever served it; and on what.

    `gpu_type` is the SKU of the catalogue, where it has the type. `pretends`: its devices are no such GPUs.
    """

    agent_id: str | None
    gpu_type: str
    pretends: bool


def find_sites(names: Collection[str]) -> Command:
    """Make the command that finds where the runs of these pools are now."""
    return Command(SITES, {"names": sorted(names)})


def read_sites(rows: Iterable[Row]) -> dict[str, Site]:
    """Read where the runs of pools are, by pool, from the rows of `find_sites`."""
    return {name: _read_site(*of_pool) for name, *of_pool in rows}


def _read_site(agent_id: str | None, sku: str, engine: str) -> Site:
    gpu = find_gpu(sku)
    return Site(agent_id, sku if gpu is None else gpu.sku, pretends=engine == SIMULATED)


async def note_failed_start(work: Work, name: str, reason: str) -> None:
    """Let a pool rest after a start on it failed; those that fail while it rests anyway count as one."""
    pool = await lock_pool(work, name)
    if pool.rest_reason is not None and (pool.rests_until is None or pool.rests_until > work.now):
        return
    rest = plan_rest(pool.failed_starts + 1, now=work.now)
    pool.failed_starts, pool.rests_until, pool.rest_reason = rest.failed_starts, rest.until, reason[:LONGEST_REASON]


def command_good_starts(names: Collection[str]) -> list[Command]:
    """Make the command that forgets the failed starts of pools: workers have claimed their runs there.

    It locks a pool that rests, as few do: after jobs, holds and contracts.
    """
    return [Command(FORGET_FAILED_STARTS, {"names": sorted(names)})] if names else []


async def lock_pool(work: Work, name: str) -> Pool:
    """Lock a pool: after jobs, holds and contracts. Raises: NotFound."""
    pool = await work.session.get(Pool, name, with_for_update=True, populate_existing=True)
    if pool is None:
        raise errors.NotFound("pool", name)
    return pool


def forget_failed_starts(pool: Pool) -> None:
    """Forget a locked pool's failed starts: it rests no longer."""
    pool.failed_starts, pool.rests_until, pool.rest_reason = 0, None, None
