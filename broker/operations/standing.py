"""How contracts stand on one GPU type: what they are due, hold, borrow and lend; who starves beside whom. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from broker.operations.fair_division import Claim, divide_fairly, spread


@dataclass(frozen=True)
class Standing:
    """How a contract stands on a GPU type. Units: GPUs.

    `deserved`: what it would have now if all had what they are due. `borrowed`: what it holds of GPUs that are
    guaranteed to others, and so may lose to them; for `reclaimed` of these their owners wait. `lent`: what others hold
    of its own; `idle`: what nobody does.
    """

    sku: str
    claim: Claim
    deserved: Fraction
    borrowed: int
    lent: int
    reclaimed: int = 0

    @property
    def contract_id(self) -> str:
        return self.claim.contract_id

    @property
    def idle(self) -> int:
        return max(0, self.claim.guaranteed - self.claim.held_within - self.lent)

    @property
    def lacks(self) -> Fraction:
        """Tell what it is due, waits for, and does not have."""
        return max(Fraction(0), self.deserved - self.claim.held) if self.claim.waiting else Fraction(0)

    @property
    def exceeds(self) -> Fraction:
        """Tell what it holds beyond what it is due."""
        return max(Fraction(0), self.claim.held - self.deserved)


def compute_standings(sku: str, capacity: int, claims: Sequence[Claim]) -> list[Standing]:
    """Compute how contracts stand on a type, of which there are so many GPUs.

    What is held beyond all guarantees and beyond what is guaranteed to nobody is borrowed; owners lend as much.
    """
    deserved = divide_fairly(capacity, claims)
    beyond = {each.contract_id: each.held - each.held_within for each in claims}
    idle = {each.contract_id: max(0, each.guaranteed - each.held_within) for each in claims}
    free_for_all = max(0, capacity - sum(each.guaranteed for each in claims))
    lent_out = min(max(0, sum(beyond.values()) - free_for_all), sum(idle.values()))
    borrowed, lent = spread(lent_out, beyond), spread(lent_out, idle)
    reclaimed = spread(sum(min(idle[each.contract_id], each.waiting) for each in claims), borrowed)
    names = [each.contract_id for each in claims]
    told = zip(claims, *([by[name] for name in names] for by in (deserved, borrowed, lent, reclaimed)), strict=True)
    return [Standing(sku, *each) for each in told]


@dataclass(frozen=True)
class Pair:
    """One who waits below what it is due, beside one who holds more than that of the same type."""

    starved: Standing
    borrowing: Standing

    @property
    def gpus(self) -> Fraction:
        return min(self.starved.lacks, self.borrowing.exceeds)


def list_pairs(standings: Iterable[Standing], most: int) -> list[Pair]:
    """List who starves beside whom, those first of whom most GPUs are told."""
    known = list(standings)
    starved, borrowing = ([each for each in known if told(each)] for told in (_lacks, _exceeds))
    pairs = [Pair(one, other) for one in starved for other in borrowing if one.sku == other.sku]
    return sorted(pairs, key=lambda pair: (-pair.gpus, pair.starved.contract_id, pair.borrowing.contract_id))[:most]


def _lacks(standing: Standing) -> bool:
    return standing.lacks > 0


def _exceeds(standing: Standing) -> bool:
    return standing.exceeds > 0
