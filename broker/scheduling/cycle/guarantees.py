"""What contracts are guaranteed now, as the planner knows it: what they signed, as far as there are machines for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from broker.capacity.service import Queue
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.scheduling.planning.rules.shortage import share_out
from broker.scheduling.planning.values.pools import NodeState, PoolState
from broker.scheduling.planning.values.queues import Guarantee
from broker.work import Work


async def read_guarantees(
    work: Work, queues: Sequence[Queue], pools: Collection[PoolState]
) -> dict[str, tuple[Guarantee, ...]]:
    """Read what each contract is guaranteed now, by contract; a contract without any is not named."""
    return describe_guarantees(await contracts.list_guaranteed(work), pools, list_lent(queues), work.now)


def list_lent(queues: Iterable[Queue]) -> dict[str, int | None]:
    """List the most that others may use of what each contract with a queue of its own leaves idle. Pure."""
    return {queue.contract_id: queue.lending_limit for queue in queues if queue.contract_id is not None}


def describe_guarantees(
    terms: Iterable[ContractTerms], pools: Collection[PoolState], lent: Mapping[str, int | None], now: datetime
) -> dict[str, tuple[Guarantee, ...]]:
    """Describe guarantees as the planner knows them, less where machines have failed. Pure.

    `lent` has the most that others may use of what a contract leaves idle, by contract. What a contract is guaranteed
    serves its own queue: one that has none, or is not in force, has nothing.
    """
    active = [each.at(now) for each in terms if each.covers(now) and each.id in lent]
    promised: dict[str, dict[str, int]] = {}
    for each in active:
        for guaranteed in each.guaranteed_gpus:
            promised.setdefault(guaranteed.gpu_type, {})[each.id] = guaranteed.gpus
    found: dict[str, tuple[Guarantee, ...]] = {}
    for sku, by_contract in promised.items():
        shares = share_out(by_contract, count_usable(pools, sku))
        for contract_id, gpus in by_contract.items():
            own = Guarantee(sku, shares[contract_id], lent[contract_id], gpus)
            found[contract_id] = (*found.get(contract_id, ()), own)
    return found


def add_up_guarantees(guarantees: Iterable[Guarantee]) -> dict[str, tuple[int, int]]:
    """Add up by type what is guaranteed, and what of it is there. Pure."""
    sums: dict[str, tuple[int, int]] = {}
    for each in guarantees:
        promised, there = sums.get(each.sku, (0, 0))
        own = each.gpus if each.promised is None else each.promised
        sums[each.sku] = promised + own, there + each.gpus
    return sums


def count_usable(pools: Iterable[PoolState], sku: str) -> int:
    """Count the GPUs of a type on which something may start, busy ones included. Pure."""
    return sum(_count_usable(pool) for pool in pools if pool.open and pool.sku == sku)


def _count_usable(pool: PoolState) -> int:
    if not pool.nodes:
        return pool.total_gpus
    return sum(node.total for node in pool.nodes if node.state == NodeState.OPEN)
