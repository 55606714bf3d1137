"""Where a customer's charge ends and what is borne begins: at a limit that was promised. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pricing.money import Money, round_to_fen
from pricing.rating import price_usage
from pricing.usage import Unit


@dataclass(frozen=True)
class BilledLine:
    """The usage that one invoice line bills: a job's usage of a meter at one price in one billing month."""

    unit: Unit
    unit_price: Decimal
    billable: bool
    month: str


NewUsage = Sequence[tuple[BilledLine, int]]


def count_affordable(paid: Mapping[BilledLine, int], usage: NewUsage, charge_limit: Money) -> int:
    """Count the units of `usage`, taken in its order, that a customer can still be charged for.

    Neither the exact price of all its usage nor the sum of its invoice lines, each rounded to the fen, goes beyond the
    charge limit. Units: GPU-seconds or tokens.
    """
    total = sum(quantity for _line, quantity in usage)
    if _fits(paid, usage, total, charge_limit):
        return total
    return bisect_left(range(total), True, key=lambda count: not _fits(paid, usage, count + 1, charge_limit))


def add_usage(paid: Mapping[BilledLine, int], usage: NewUsage, count: int) -> dict[BilledLine, int]:
    """Add the first `count` units of `usage` to the lines."""
    lines = defaultdict(int, paid)
    for line, quantity in usage:
        taken = min(quantity, count)
        lines[line] += taken
        count -= taken
    return dict(lines)


def _fits(paid: Mapping[BilledLine, int], usage: NewUsage, count: int, charge_limit: Money) -> bool:
    prices = [_price(line, quantity) for line, quantity in add_usage(paid, usage, count).items()]
    exact = sum(prices, Fraction(0))
    invoiced = sum((round_to_fen(price, charge_limit.currency) for price in prices), Money.zero(charge_limit.currency))
    return exact <= Fraction(charge_limit.to_decimal()) and invoiced <= charge_limit


def _price(line: BilledLine, quantity: int) -> Fraction:
    return price_usage(line.unit, quantity, line.unit_price)
