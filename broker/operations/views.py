"""What is shown of an overview: to ops all of it, with names; to a contract's customer how that stands, without."""

from collections import Counter
from collections.abc import Callable

from broker.capacity.readiness import JudgedPool
from broker.capacity.schemas import QueueOut
from broker.operations.claims import sum_jobs
from broker.operations.overview import Overview
from broker.operations.peers import explain_against_peer
from broker.operations.schemas import (
    ContractStandingOut,
    OverviewOut,
    PairOut,
    PoolViewOut,
    QueueViewOut,
    StandingOut,
    TypeStandingOut,
    write_gpus,
)
from broker.operations.standing import Pair, Standing

MOST_CONTRACTS, MOST_QUEUES, MOST_POOLS = 100, 200, 200
Naming = Callable[[str], tuple[str, str]]


def show_overview(seen: Overview) -> OverviewOut:
    """Show all that is seen, for ops."""
    ranked = sorted(seen.standings, key=lambda each: (-each.claim.wanted, each.contract_id, each.sku))
    idle = Counter({each.sku: 0 for each in seen.standings if each.claim.guaranteed})
    for each in seen.standings:
        if each.claim.guaranteed:
            idle[each.sku] += each.idle
    return OverviewOut(
        as_of=seen.facts.now,
        queues=_show_queues(seen),
        pools=[_show_pool(seen, judged) for judged in seen.pools[:MOST_POOLS]],
        queue_count=len(seen.facts.queues),
        pool_count=len(seen.pools),
        waiting_by_reason=sum_jobs(seen.facts.waiting),
        contracts=[_show_contract(seen, each) for each in ranked[:MOST_CONTRACTS]],
        contract_count=len(ranked),
        starved_and_borrowing=[_show_pair(seen, pair) for pair in seen.pairs],
        idle_guaranteed_gpus=dict(idle),
    )


def show_standing(seen: Overview, contract_id: str) -> StandingOut:
    """Show how a contract stands, naming no other customer."""
    customer_id = seen.customers.get(contract_id)

    def name(other: str) -> tuple[str, str]:
        if other == contract_id:
            return "this contract", "本合同"
        is_own = seen.customers.get(other) == customer_id
        return (f"your contract {other}", f"您的合同 {other} ") if is_own else ("another customer", "另一位客户")

    own = [each for each in seen.standings if each.contract_id == contract_id]
    types = [TypeStandingOut.of(each, _explain(seen, each, name)) for each in own]
    return StandingOut(contract_id=contract_id, as_of=seen.facts.now, types=types)


def _explain(seen: Overview, standing: Standing, name: Naming) -> tuple[str, str] | None:
    heads = seen.heads.get(standing.sku, {})
    mine = heads.get(standing.contract_id)
    if mine is None or not seen.facts.capacity.get(standing.sku):
        return None  # nobody is ahead of it where nothing takes jobs: its jobs say what keeps them
    told, told_zh = explain_against_peer(mine, list(heads.values()), name)
    return told[0].upper() + told[1:] if told.startswith("this ") else told, told_zh


def _show_queues(seen: Overview) -> list[QueueViewOut]:
    """Show the queues in the planner's order; where there are too many, those first in which something is."""
    facts = seen.facts
    busy = {each.queue for each in facts.waiting} | {each.queue for each in facts.holders}
    listed = list(facts.queues.values())
    if len(listed) > MOST_QUEUES:
        listed = sorted(listed, key=lambda queue: queue.name not in busy)[:MOST_QUEUES]
    shown = []
    for queue in listed:
        waiting = [each for each in facts.waiting if each.queue == queue.name]
        holders = [each for each in facts.holders if each.queue == queue.name]
        shown.append(
            QueueViewOut(
                **QueueOut.model_validate(queue).model_dump(),
                waiting_jobs=sum(each.jobs for each in waiting),
                waiting_gpus=sum(each.gpus for each in waiting),
                oldest_waiting_at=min((each.oldest_at for each in waiting), default=None),
                running_jobs=len(holders),
                held_gpus=sum(each.gpus for each in holders),
            )
        )
    return shown


def _show_pool(seen: Overview, judged: JudgedPool) -> PoolViewOut:
    pool = judged.pool
    ahead = [window.begins_at for window in pool.maintenance if window.ends_at > seen.facts.now]
    return PoolViewOut(
        name=pool.name,
        sku=pool.sku,
        state=judged.readiness,
        state_reason=judged.closure,
        total_gpus=judged.total_gpus,
        held_gpus=sum(holder.gpus for holder in seen.facts.holders if holder.pool == pool.name),
        nodes=dict(Counter(node.state for node in judged.nodes)),
        next_maintenance_at=min(ahead, default=None),
    )


def _show_contract(seen: Overview, standing: Standing) -> ContractStandingOut:
    why = _explain(seen, standing, lambda contract_id: (seen.names[contract_id], f" {seen.names[contract_id]} "))
    told = TypeStandingOut.of(standing, why).model_dump()
    return ContractStandingOut(**told, contract_id=standing.contract_id, customer=seen.names[standing.contract_id])


def _show_pair(seen: Overview, pair: Pair) -> PairOut:
    starved, borrowing = pair.starved.contract_id, pair.borrowing.contract_id
    return PairOut(
        sku=pair.starved.sku,
        starved_contract_id=starved,
        starved=seen.names[starved],
        borrowing_contract_id=borrowing,
        borrowing=seen.names[borrowing],
        gpus=write_gpus(pair.gpus),
    )
