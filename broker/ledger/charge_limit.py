"""Where a customer's charge ends and the house's begins: at a ceiling that was promised. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from broker.ledger.model import Unit
from pricing.money import Money, round_to_fen
from pricing.plans import Meter
from pricing.rating import price_usage


@dataclass(frozen=True)
class Line:
    """What becomes one line of one invoice: a job's usage of a meter at one price in one billing month."""

    unit: Unit
    unit_price: Decimal
    billable: bool
    month: str


Usage = Sequence[tuple[Line, int]]


def count_affordable(paid: Mapping[Line, int], usage: Usage, ceiling: Money) -> int:
    """How many units of `usage`, taken in its order, a customer can still be charged for.

    Neither the exact price of all its usage nor the sum of its invoice lines, each rounded to the fen, goes beyond the
    ceiling. Units: GPU-seconds or tokens.
    """
    total = sum(quantity for _line, quantity in usage)
    if _fits(paid, usage, total, ceiling):
        return total
    return bisect_left(range(total), True, key=lambda count: not _fits(paid, usage, count + 1, ceiling))


def add_usage(paid: Mapping[Line, int], usage: Usage, count: int) -> dict[Line, int]:
    """The lines with the first `count` units of `usage` added to them."""
    lines = defaultdict(int, paid)
    for line, quantity in usage:
        taken = min(quantity, count)
        lines[line] += taken
        count -= taken
    return dict(lines)


def _fits(paid: Mapping[Line, int], usage: Usage, count: int, ceiling: Money) -> bool:
    prices = [_price(line, quantity) for line, quantity in add_usage(paid, usage, count).items()]
    exact = sum(prices, Fraction(0))
    invoiced = sum((round_to_fen(price, ceiling.currency) for price in prices), Money.zero(ceiling.currency))
    return exact <= Fraction(ceiling.to_decimal()) and invoiced <= ceiling


def _price(line: Line, quantity: int) -> Fraction:
    return price_usage(Meter(line.unit.value), quantity, line.unit_price)
