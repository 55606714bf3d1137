"""Why a month costs more or less than the one before: volume, price, mix, grants, contract parts, tax, credits. Pure.

Volume, price and mix are taken apart over cells (contract, project, GPU type, meter), in each meter by itself: units of
GPU time and tokens do not add up. Volume is what the change of all units costs at the average price of the month
before; mix, that cells cost more or less than that average; price, that a cell's own price has changed. A cell without
use in the month before has no price to compare with: what it costs is volume and mix. Their sum is the change, exactly.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from broker.reports.costs.costs import Costs, Fact
from pricing.money import MICROS_PER_UNIT, Money
from pricing.rounding import share_amount
from pricing.usage import METERS, Unit


class Cell(NamedTuple):
    """What was used in one place of one meter, and what that cost. Units: GPU-seconds or tokens; micro-yuan."""

    quantity: int
    micros: int


Cells = Mapping[Hashable, Cell]


@dataclass(frozen=True)
class MonthChange:
    """The steps from what the month before came to, net, to what this one does.

    `grants` is what grants paid (more of it is less to be asked for), `parts` are volume tiers, guaranteed GPUs and
    true-ups, `credits` what credit notes took back.
    """

    before: Money
    volume: Money
    price: Money
    mix: Money
    grants: Money
    parts: Money
    tax: Money
    credits: Money
    after: Money

    @property
    def steps(self) -> dict[str, Money]:
        """Tell the steps in their order."""
        names = ("volume", "price", "mix", "grants", "parts", "tax", "credits")
        return {name: getattr(self, name) for name in names}

    @property
    def unexplained(self) -> Money:
        """Tell what of the change no step explains: it must be zero."""
        return self.after - self.before - sum(self.steps.values(), Money.zero())


def compute_net(costs: Costs) -> Money:
    """Compute what a month comes to after all: what its usage invoices ask for, less the credit notes of the month."""
    return Money(costs.due - costs.credited)


def explain_change(before: Iterable[Fact], after: Iterable[Fact]) -> MonthChange:
    """Explain the change between two months' facts, to the fen."""
    facts = list(before), list(after)
    old, new = (_add_up(each) for each in facts)
    volume, price, mix = _share_out(facts[0], facts[1], Money(new.cost - old.cost))
    return MonthChange(
        before=compute_net(old),
        volume=volume,
        price=price,
        mix=mix,
        grants=Money(old.advance - new.advance),
        parts=Money(_sum_parts(new) - _sum_parts(old)),
        tax=Money(new.tax - old.tax),
        credits=Money(old.credited - new.credited),
        after=compute_net(new),
    )


def _add_up(facts: Iterable[Fact]) -> Costs:
    return sum((fact.costs for fact in facts), Costs())


def _sum_parts(costs: Costs) -> int:
    return costs.tier_settlement + costs.guarantee + costs.true_up


def _share_out(before: Iterable[Fact], after: Iterable[Fact], change: Money) -> list[Money]:
    """Take the change of what usage costs apart, and round the parts so that they add up to it."""
    old, new = list_cells(before), list_cells(after)
    parts = [Fraction(0)] * 3
    for meter in METERS:
        own = split_change(old.get(meter, {}), new.get(meter, {}))
        parts = [whole + part for whole, part in zip(parts, own, strict=True)]
    return share_amount(change, [part / MICROS_PER_UNIT for part in parts])


def list_cells(facts: Iterable[Fact]) -> dict[Unit, dict[Hashable, Cell]]:
    """List what each place used of each meter, and what it cost."""
    sums: defaultdict[Unit, Counter[tuple[Hashable, str]]] = defaultdict(Counter)
    for fact in facts:
        place = fact.place.contract_id, fact.place.project_id, fact.place.gpu_type
        told = {
            Unit.GPU_SECONDS: (fact.costs.gpu_seconds, fact.costs.gpu_cost),
            Unit.TOKENS: (fact.costs.tokens, fact.costs.token_cost),
        }
        for meter, (quantity, micros) in told.items():
            sums[meter][place, "quantity"] += quantity
            sums[meter][place, "micros"] += micros
    return {
        meter: {place: Cell(own[place, "quantity"], own[place, "micros"]) for place, _name in own}
        for meter, own in sums.items()
    }


def split_change(old: Cells, new: Cells) -> tuple[Fraction, Fraction, Fraction]:
    """Split the change of one meter's cost into volume, price and mix, exactly, in micro-yuan.

    Where the month before used nothing, all is volume. Source: the price-volume-mix analysis of management accounting.
    """
    units_before, cost_before = sum(each.quantity for each in old.values()), sum(each.micros for each in old.values())
    units_after, cost_after = sum(each.quantity for each in new.values()), sum(each.micros for each in new.values())
    if units_before <= 0:
        return Fraction(cost_after - cost_before), Fraction(0), Fraction(0)
    volume = Fraction(cost_before * (units_after - units_before), units_before)
    price = sum((_find_price_effect(cell, old.get(place)) for place, cell in new.items()), Fraction(0))
    return volume, price, cost_after - cost_before - volume - price


def _find_price_effect(cell: Cell, before: Cell | None) -> Fraction:
    """Find what a cell costs more by its price alone; none where there is no earlier price to compare with."""
    if before is None or before.quantity <= 0:
        return Fraction(0)
    return cell.micros - Fraction(before.micros * cell.quantity, before.quantity)
