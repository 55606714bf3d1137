"""Claims of contracts on GPU types, and the first of their jobs that wait, from what is read of the database. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.capacity.quotas import USUAL_WEIGHT
from broker.capacity.service import Queue
from broker.jobs.reading.queueing import DeviceHolder
from broker.jobs.reading.waiting_sums import WaitingSum
from broker.operations.fair_division import Claim
from broker.operations.peers import Head
from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, ORDINARY, OVERDUE
from broker.scheduling.planning.values.pools import PoolState


@dataclass(frozen=True)
class Facts:
    """What is read at one moment. `guaranteed`: GPUs by contract and type; `used`: decayed, by contract.

    `weights` are those that ops gave contracts, in hundredths; of others it is 100. `limits`: the most GPUs that ops
    lets contracts hold at one time; None, or none told: as many as there are.
    """

    now: datetime
    pools: Sequence[PoolState]
    queues: Mapping[str, Queue]
    holders: Sequence[DeviceHolder]
    waiting: Sequence[WaitingSum]
    guaranteed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def capacity(self) -> dict[str, int]:
        """Count the GPUs that take jobs, by type, the most first."""
        by_type: dict[str, int] = {}
        for pool in self.pools:
            by_type[pool.sku] = by_type.get(pool.sku, 0) + (pool.total_gpus if pool.open else 0)
        return dict(sorted(by_type.items(), key=lambda told: (-told[1], told[0])))


@dataclass
class _Tally:
    held: int = 0
    held_dedicated: int = 0
    waiting: int = 0
    weight: int = 0


def list_claims(facts: Facts) -> dict[str, list[Claim]]:
    """List the claims on each type that a pool has. A job that takes any type counts for the most common one."""
    skus = {pool.name: pool.sku for pool in facts.pools}
    tallies: defaultdict[tuple[str, str], _Tally] = defaultdict(_Tally)
    for key in facts.guaranteed:
        tallies[key].weight = facts.weights.get(key[0], USUAL_WEIGHT)
    for holder in facts.holders:
        if holder.pool in skus:
            tally = tallies[holder.contract_id, skus[holder.pool]]
            tally.held += holder.gpus
            tally.held_dedicated += holder.gpus if _is_own(facts, holder.queue, holder.contract_id) else 0
            tally.weight = max(tally.weight, _weigh(facts, holder.contract_id, holder.queue))
    for each in facts.waiting:
        tally = tallies[each.contract_id, find_type(facts, each)]
        tally.waiting += each.gpus
        tally.weight = max(tally.weight, _weigh(facts, each.contract_id, each.queue))
    claims: dict[str, list[Claim]] = {sku: [] for sku in facts.capacity}
    for (contract_id, sku), tally in sorted(tallies.items()):
        guaranteed = facts.guaranteed.get((contract_id, sku), 0)
        within = min(guaranteed, tally.held_dedicated)
        claim = Claim(contract_id, guaranteed, tally.held, within, tally.waiting, max(tally.weight, 1))
        claims.setdefault(sku, []).append(claim)
    return claims


def list_heads(facts: Facts, claims: Mapping[str, Sequence[Claim]]) -> dict[str, dict[str, Head]]:
    """List the first of each contract's jobs that wait, by type and contract."""
    known = {(claim.contract_id, sku): claim for sku, each in claims.items() for claim in each}
    heads: dict[str, dict[str, Head]] = {}
    for each in facts.waiting:
        sku = find_type(facts, each)
        head = make_head(facts, each, known[each.contract_id, sku])
        first = heads.setdefault(sku, {}).get(each.contract_id)
        if first is None or head.key < first.key:
            heads[sku][each.contract_id] = head
    return heads


def find_type(facts: Facts, waiting: WaitingSum) -> str:
    """Find the type for which jobs are counted that wait."""
    return waiting.sku or next(iter(facts.capacity), "")


def make_head(facts: Facts, each: WaitingSum, claim: Claim | None) -> Head:
    """Make the head of jobs that wait; without a claim their contract holds nothing of the type."""
    claim = claim or Claim(each.contract_id, 0, 0, 0, each.gpus, 1)
    queue = facts.queues.get(each.queue)
    priority = each.priority if each.priority is not None else 0 if queue is None else queue.priority
    weight, used = _weigh(facts, each.contract_id, each.queue), facts.used.get(each.contract_id, 0)
    tier = _find_tier(facts, each, claim, queue)
    moment = each.oldest_at
    return Head(each.contract_id, tier, priority, used, claim.held, weight, moment)


def _find_tier(facts: Facts, each: WaitingSum, claim: Claim, queue: Queue | None) -> int:
    if each.is_expedited:
        return EXPEDITED
    if claim.held_within < claim.guaranteed and _is_own(facts, each.queue, each.contract_id):
        return GUARANTEED
    longest = None if queue is None else queue.max_wait_seconds
    is_overdue = longest is not None and each.oldest_at + timedelta(seconds=longest) <= facts.now
    return OVERDUE if is_overdue else ORDINARY


def _is_own(facts: Facts, queue: str, contract_id: str) -> bool:
    known = facts.queues.get(queue)
    return known is not None and known.contract_id == contract_id


def _weigh(facts: Facts, contract_id: str, queue: str) -> int:
    """Weigh the jobs of a contract in a queue, as the planner does: by both, in hundredths."""
    known = facts.queues.get(queue)
    of_queue = USUAL_WEIGHT if known is None else known.weight
    return max(1, facts.weights.get(contract_id, USUAL_WEIGHT) * of_queue // USUAL_WEIGHT)


def sum_jobs(waiting: Iterable[WaitingSum]) -> dict[str, int]:
    """Add up the jobs that wait, by reason."""
    by_reason: dict[str, int] = {}
    for each in waiting:
        by_reason[each.reason] = by_reason.get(each.reason, 0) + each.jobs
    return by_reason
