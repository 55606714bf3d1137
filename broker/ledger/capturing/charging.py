"""Dividing usage, in the order in which it happened, into what its customer is charged and what is borne. Pure."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.ledger.books.model import LegDraw
from broker.ledger.holding.legs import NewLeg
from broker.ledger.rating.charge_limit import Bound, ChargeLimits, RateSegment, add_units
from pricing.usage import METERS, Unit, Usage


@dataclass(frozen=True)
class PlannedDraws:
    """What a quantity is to be drawn from: legs of a hold, and those by which the hold is to be extended before."""

    quantity: int
    draws: list[LegDraw]
    more: list[NewLeg]


@dataclass(frozen=True)
class Supply:
    """What usage can be charged to: units of segments, in the order in which they pay. It may end before the usage.

    It is without end where a contract sells overage, ends with the grants where it blocks, and is empty for usage
    from after the contract's end. `planned` is what it was planned from: it holds until something is charged.
    """

    units: Mapping[Unit, Sequence[tuple[RateSegment, int]]]
    planned: Mapping[Unit, PlannedDraws] = field(default_factory=dict, compare=False)


@dataclass
class Charging:
    """The charge of a job in one month as it grows, unit by unit. `added` is what was charged beyond the limits' own.

    However usage is split into batches, the same units are charged: those that keep every promise together with all
    that was charged before them.
    """

    limits: ChargeLimits
    added: dict[RateSegment, int] = field(default_factory=dict)

    def divide(self, supply: Supply, usages: Sequence[Usage]) -> Usage:
        """Take from the supply what can be charged of some usage, in its order; the rest is borne.

        Returns what is charged. Units: GPU-seconds and tokens.
        """
        queues = {meter: _Queue(list(supply.units[meter])) for meter in METERS}
        whole = sum(usages, Usage())
        if self._take_whole(queues, whole):
            return whole
        charged = Usage()
        for usage in usages:
            gpu_seconds = self._take(queues[Unit.GPU_SECONDS], usage.gpu_seconds)
            charged += Usage(gpu_seconds, self._take(queues[Unit.TOKENS], usage.tokens))
        return charged

    def find_next_bound(self, supply: Supply) -> Bound | None:
        """Find the promise that the next GPU-second or the next token would break, where there is one to charge to."""
        for meter in METERS:
            for segment, _count in supply.units[meter][:1]:
                bound = self.limits.find_bound(add_units(self.added, {segment: 1}))
                if bound is not None:
                    return bound
        return None

    def _take_whole(self, queues: Mapping[Unit, "_Queue"], whole: Usage) -> bool:
        """Take all of it where all keeps every promise: then so does each part of it before the next."""
        if any(queues[meter].available < whole.count(meter) for meter in METERS):
            return False
        added = self.added
        for meter in METERS:
            added = add_units(added, queues[meter].preview(whole.count(meter)))
        if self.limits.find_bound(added) is not None:
            return False
        self.added = added
        return True

    def _take(self, queue: "_Queue", wanted: int) -> int:
        possible = min(wanted, queue.available)
        count = possible
        if count and not self._fits(queue, count):
            count = bisect_left(range(count), True, key=lambda fewer: not self._fits(queue, fewer + 1))
        self.added = add_units(self.added, queue.preview(count))
        queue.take(count)
        if count < possible:
            queue.rest = []  # what is refused once stays refused: the charge only grows
        return count

    def _fits(self, queue: "_Queue", count: int) -> bool:
        return self.limits.find_bound(add_units(self.added, queue.preview(count))) is None


@dataclass
class _Queue:
    """What is left of one meter's supply."""

    rest: list[tuple[RateSegment, int]]

    @property
    def available(self) -> int:
        return sum(count for _segment, count in self.rest)

    def preview(self, count: int) -> dict[RateSegment, int]:
        """Split the next units by the segments that they would be charged to."""
        taken: dict[RateSegment, int] = {}
        for segment, available in self.rest:
            drawn = min(available, count)
            if drawn:
                taken[segment] = taken.get(segment, 0) + drawn
            count -= drawn
        return taken

    def take(self, count: int) -> None:
        rest = []
        for segment, available in self.rest:
            drawn = min(available, count)
            count -= drawn
            if available > drawn:
                rest.append((segment, available - drawn))
        self.rest = rest
