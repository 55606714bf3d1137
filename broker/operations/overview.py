"""What there is to see at one moment: queues, pools, how contracts stand; read by so many statements, whoever looks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from broker.capacity import quotas, readiness
from broker.capacity import service as capacity
from broker.capacity.readiness import JudgedPool
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.jobs.reading.waiting_sums import add_up_waiting
from broker.operations.claims import Facts, list_claims, list_heads
from broker.operations.peers import Head
from broker.operations.standing import Pair, Standing, compute_standings, list_pairs
from broker.scheduling.cycle.snapshot import read_pools
from broker.scheduling.cycle.usage import UsageReading
from broker.system import System
from broker.work import Work

# Who looks again sooner sees the same: many pages that redraw themselves cost one reading.
KEPT = timedelta(seconds=0.5)
MOST_PAIRS = 20
# Where more jobs wait, a reading takes a good part of a second: a page shows an older one, as of its moment, while the
# next is read behind it; one that is older than this is read first.
LONG_LINE, OLDEST_SHOWN = 5_000, timedelta(seconds=30)
KEPT_OF_LONG = timedelta(seconds=5)


@dataclass(frozen=True)
class Overview:
    """All that is seen. `names` are those of customers, by contract; `customers` their ids, by contract."""

    facts: Facts
    pools: Sequence[JudgedPool]
    standings: Sequence[Standing]
    heads: dict[str, dict[str, Head]]
    customers: dict[str, str]
    names: dict[str, str]
    pairs: list[Pair] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairs", list_pairs(self.standings, MOST_PAIRS))

    @property
    def waiting_jobs(self) -> int:
        return sum(each.jobs for each in self.facts.waiting)


@dataclass
class OverviewReading:
    """The last reading, shared by all who look; usage moves slowly and is read now and then."""

    system: System
    usage: UsageReading = field(default_factory=UsageReading)
    last: Overview | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    next: asyncio.Task[Overview] | None = None

    async def read(self) -> Overview:
        """Read what there is to see, or tell the last reading while it is young."""
        async with self.turn:
            now = self.system.services.clock()
            if self.last is None or not timedelta() <= now - self.last.facts.now < KEPT:
                async with self.system.work() as work:
                    self.last = await read_overview(work, self.usage)
            return self.last

    async def read_for_page(self) -> Overview:
        """Read what there is to see; of a long line tell the last reading, and have the next one made meanwhile."""
        last, now = self.last, self.system.services.clock()
        if last is None or last.waiting_jobs < LONG_LINE or now - last.facts.now > OLDEST_SHOWN:
            return await self.read()
        if now - last.facts.now >= KEPT_OF_LONG and (self.next is None or self.next.done()):
            self.next = asyncio.create_task(self.read())
            self.next.add_done_callback(self._note_failure)
        return last

    def _note_failure(self, reading: asyncio.Task[Overview]) -> None:
        if not reading.cancelled() and isinstance(error := reading.exception(), Exception):
            self.system.services.note_failure("reading what there is to see", error)


async def read_overview(work: Work, usage: UsageReading) -> Overview:
    """Read what there is to see of all customers."""
    now = work.now
    pools = await readiness.list_pools(work)
    states, holders = await read_pools(work, pools)
    queues = {queue.name: queue for queue in await capacity.list_queues(work)}
    waiting = await add_up_waiting(work)
    guaranteed = {
        (terms.id, each.gpu_type): each.gpus
        for terms in await contracts.list_guaranteed(work)
        if terms.covers(now)
        for each in terms.at(now).guaranteed_gpus
    }
    concerned = {each.contract_id for each in waiting} | {each.contract_id for each in holders}
    concerned |= {contract_id for contract_id, _sku in guaranteed}
    set_by_ops = await quotas.list_quotas(work, concerned)
    weights = {name: quota.weight for name, quota in set_by_ops.items()}
    limits = {name: quota.max_gpus for name, quota in set_by_ops.items()}
    facts = Facts(now, states, queues, holders, waiting, guaranteed, await usage.read(work), weights, limits)
    claims = list_claims(facts)
    standings = [
        standing
        for sku, each in claims.items()
        for standing in compute_standings(sku, facts.capacity.get(sku, 0), each)
    ]
    customers = await contracts.list_customers_of(work, {standing.contract_id for standing in standings})
    names = await identity.list_names(work, set(customers.values()))
    by_contract = {contract_id: names[customer_id] for contract_id, customer_id in customers.items()}
    return Overview(facts, pools, standings, list_heads(facts, claims), customers, by_contract)
