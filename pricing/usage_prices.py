"""What usage that is still to come costs: of each meter first what grants pay, at their own prices, then all the rest.

A quote, what a sum buys, a job's limit, and what a hold reserves are all computed by these prices, and in the order in
which usage is charged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from pricing.money import MICROS_PER_UNIT, Money, round_to_fen
from pricing.rate_card import UnitPrices
from pricing.rating import BASE_UNITS_PER_PRICED_UNIT, NegativeUsage
from pricing.usage import Unit

# Whole units that were used, or a share of them: what is quoted of a job ends between two units.
Count = int | Fraction


@dataclass(frozen=True)
class PricedUnits:
    """Units at one price, such as those that a grant pays for; without a `quantity` there is no end to them.

    Units: those of their meter; `unit_price` is of a GPU-hour or a token. `billable`: an invoice asks for their usage,
    which no advance has paid.
    """

    quantity: int | None
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
        return self._price_usage(counts).total

    def price_meter(self, meter: Unit, count: Count) -> Money:
        """Price usage of one meter as an invoice does: each of its lines rounded to the fen. Raises: NegativeUsage."""
        return self.round_lines(self.list_lines({meter: count}))

    def pay_for(self, money: Money, counts: Mapping[Unit, Count]) -> bool:
        """Tell whether a sum pays for usage: neither its exact price nor that of an invoice's lines goes beyond it.

        Raises: NegativeUsage.
        """
        usage = self._price_usage(counts)
        return usage.total <= Fraction(money.micros, MICROS_PER_UNIT) and self.round_lines(usage.lines) <= money

    def find_least(self, counts: Mapping[Unit, Count]) -> Money:
        """Find the least sum, to the micro, that pays for usage. Raises: NegativeUsage."""
        usage = self._price_usage(counts)
        exact = Money(math.ceil(usage.total * MICROS_PER_UNIT), self.currency)
        return max(exact, self.round_lines(usage.lines))

    def round_lines(self, lines: Iterable[Fraction]) -> Money:
        """Round the lines of an invoice, each half-even to the fen, and add them up."""
        return sum((round_to_fen(line, self.currency) for line in lines), Money.zero(self.currency))

    def list_lines(self, counts: Mapping[Unit, Count]) -> Sequence[Fraction]:
        """List the exact prices of what becomes a line of an invoice each: a job's share of a rate segment.

        It is a meter's usage at one price, apart where an advance has paid it. Raises: NegativeUsage.
        """
        return self._price_usage(counts).lines

    def _price_usage(self, counts: Mapping[Unit, Count]) -> "PricedUsage":
        """Price usage, line by line. What was asked before is known: a submission is held to its quote, given its
        limits and clipped by the lines of one need.
        """
        asked = tuple(counts.items())
        known = self._known.get(asked)
        if known is None:
            lines = [line for meter, count in asked for line in self._list_meter_lines(meter, count)]
            known = self._known[asked] = PricedUsage(lines, sum(lines[1:], lines[0]) if lines else Fraction(0))
        return known

    def _list_meter_lines(self, meter: Unit, count: Count) -> list[Fraction]:
        if count < 0:
            raise NegativeUsage(meter, int(count))
        taken: dict[tuple[Decimal, bool], Count] = {}
        for units in (*self.granted.get(meter, ()), self._beyond(meter)):
            drawn = count if units.quantity is None else min(units.quantity, count)
            if drawn:
                line = (units.unit_price, units.billable)
                taken[line] = taken.get(line, 0) + drawn
                count -= drawn
        return [_price_line(meter, quantity, unit_price) for (unit_price, _billable), quantity in taken.items()]

    def _beyond(self, meter: Unit) -> "PricedUnits":
        return PricedUnits(None, self.per_gpu_hour if meter == Unit.GPU_SECONDS else self.per_token, billable=True)


class PricedUsage(NamedTuple):
    """Usage with its price: of each line, and in all. Units: the currency, exact."""

    lines: Sequence[Fraction]
    total: Fraction


def _price_line(meter: Unit, count: Count, unit_price: Decimal) -> Fraction:
    """Price units of a meter exactly: in whole numbers, reduced once."""
    dividend, divisor = unit_price.as_integer_ratio()
    return Fraction(dividend * count.numerator, divisor * count.denominator * BASE_UNITS_PER_PRICED_UNIT[meter])
