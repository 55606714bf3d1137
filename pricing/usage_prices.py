"""What usage that is still to come costs: of each meter first what grants pay, at their own prices, then all the rest.

A quote, what a sum buys, a job's limit, and what a hold reserves are all computed by these prices, and in the order in
which usage is charged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from pricing.money import MICROS_PER_UNIT, Money, Quotient, add_quotients, round_quotient_to_fen
from pricing.rate_card import UnitPrices
from pricing.rating import BASE_UNITS_PER_PRICED_UNIT, NegativeUsage
from pricing.usage import Unit

# So much usage is remembered with its price, of which a submission asks for that of its quote several times.
MOST_KNOWN = 256
# Whole units that were used, or a share of them: what is quoted of a job ends between two units.
Count = int | Fraction


@dataclass(frozen=True)
class PricedUnits:
    """Units at one price that a grant pays for.

    Units: those of their meter; `unit_price` is of a GPU-hour or a token. `billable`: an invoice asks for their usage,
    which no advance has paid.
    """

    quantity: int
    unit_price: Decimal
    billable: bool


@dataclass(frozen=True)
class UsagePrices:
    """What usage costs in the order in which it is charged. Units: the currency per GPU-hour and per token, exact.

    `granted` are the units that grants pay for, in the order of deduction; `per_gpu_hour` and `per_token` are the
    prices of all that is used after them.
    """

    per_gpu_hour: Decimal
    per_token: Decimal
    currency: str
    granted: Mapping[Unit, tuple[PricedUnits, ...]] = field(default_factory=dict)
    _known: dict[tuple[tuple[Unit, Count], ...], "PricedUsage"] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of_plan(cls, prices: UnitPrices) -> "UsagePrices":
        """Make the prices of a plan alone, whatever grants there are."""
        return cls(prices.per_gpu_hour, prices.per_token, prices.currency)

    def price(self, counts: Mapping[Unit, Count]) -> Fraction:
        """Price usage of both meters, exactly. Raises: NegativeUsage."""
        return Fraction(*self.divide_price(counts))

    def divide_price(self, counts: Mapping[Unit, Count]) -> Quotient:
        """Price usage of both meters, exactly, as dividend and divisor. Raises: NegativeUsage."""
        return self._price_usage(counts).total

    def price_up(self, counts: Mapping[Unit, Count]) -> int:
        """Price usage of both meters, rounded up to the micro. Units: micros. Raises: NegativeUsage."""
        dividend, divisor = self.divide_price(counts)
        return -(-dividend * MICROS_PER_UNIT // divisor)

    def cost_more_than(self, others: "UsagePrices", counts: Mapping[Unit, Count]) -> bool:
        """Tell whether usage costs more by these prices than by others, exactly. Raises: NegativeUsage."""
        (mine, of_mine), (theirs, of_theirs) = (each.divide_price(counts) for each in (self, others))
        return mine * of_theirs > theirs * of_mine

    def price_meter(self, meter: Unit, count: Count) -> Money:
        """Price usage of one meter as an invoice does: each of its lines rounded to the fen. Raises: NegativeUsage."""
        return self.price_lines({meter: count})

    def price_lines(self, counts: Mapping[Unit, Count]) -> Money:
        """Price usage as an invoice does: each of its lines rounded half-even to the fen. Raises: NegativeUsage."""
        return self._round_lines(self._price_usage(counts).lines)

    def pay_for(self, money: Money, counts: Mapping[Unit, Count]) -> bool:
        """Tell whether a sum pays for usage: neither its exact price nor that of an invoice's lines goes beyond it.

        Raises: NegativeUsage.
        """
        usage = self._price_usage(counts)
        dividend, divisor = usage.total
        return dividend * MICROS_PER_UNIT <= money.micros * divisor and self._round_lines(usage.lines) <= money

    def find_least(self, counts: Mapping[Unit, Count]) -> Money:
        """Find the least sum, to the micro, that pays for usage. Raises: NegativeUsage."""
        return max(Money(self.price_up(counts), self.currency), self.price_lines(counts))

    def list_lines(self, counts: Mapping[Unit, Count]) -> Sequence[Fraction]:
        """List the exact prices of what becomes a line of an invoice each: a job's share of a rate segment.

        It is a meter's usage at one price, apart where an advance has paid it. Raises: NegativeUsage.
        """
        return [Fraction(*line) for line in self._price_usage(counts).lines]

    def _round_lines(self, lines: Sequence[Quotient]) -> Money:
        return Money(sum(round_quotient_to_fen(*line).micros for line in lines), self.currency)

    def _price_usage(self, counts: Mapping[Unit, Count]) -> "PricedUsage":
        """Price usage, line by line. What was asked before is known: a submission is held to its quote, given its
        limits and clipped by the lines of one need.
        """
        asked = tuple(counts.items())
        known = self._known.get(asked)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            lines = [line for meter, count in asked for line in self._list_meter_lines(meter, count)]
            known = self._known[asked] = PricedUsage(lines, add_quotients(lines))
        return known

    def _list_meter_lines(self, meter: Unit, count: Count) -> list[Quotient]:
        if count < 0:
            raise NegativeUsage(meter, int(count))
        own = self.per_gpu_hour if meter == Unit.GPU_SECONDS else self.per_token
        taken: dict[tuple[Decimal, bool], Count] = {}
        for units in self.granted.get(meter, ()):
            drawn = min(units.quantity, count)
            if drawn:
                line = (units.unit_price, units.billable)
                taken[line] = taken.get(line, 0) + drawn
                count -= drawn
        if count:
            taken[own, True] = taken.get((own, True), 0) + count
        return [_price_line(meter, quantity, unit_price) for (unit_price, _billable), quantity in taken.items()]


class PricedUsage(NamedTuple):
    """Usage with its price: of each line, and in all. Units: the currency, exact."""

    lines: Sequence[Quotient]
    total: Quotient


def _price_line(meter: Unit, count: Count, unit_price: Decimal) -> Quotient:
    """Price units of a meter exactly, as dividend and divisor."""
    dividend, divisor = unit_price.as_integer_ratio()
    return dividend * count.numerator, divisor * count.denominator * BASE_UNITS_PER_PRICED_UNIT[meter]
