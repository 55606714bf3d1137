"""Where a customer's charge ends and what is borne begins: at whatever was promised. Pure.

Every promise is asked here and nowhere else: a job's limit and its cap, the month's budget. A contract that blocks
overage, or that has ended, promises by what there is to charge to (`broker/ledger/capturing/charging.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from pricing.money import MICROS_PER_UNIT, Money, Quotient, add_quotients, divide_half_even, round_quotient_to_fen
from pricing.rating import divide_price, price_usage
from pricing.rounding import ExactLine
from pricing.usage import Unit


class RateSegment(NamedTuple):
    """What an invoice rounds once: one contract's usage of a meter at one price in one billing month.

    `billable` is false where an advance has paid for it. A job's share of a segment becomes a line of the invoice.
    `used_month` is the month that it is of where that one was closed before the usage came; None: the month itself.
    """

    unit: Unit
    unit_price: Decimal
    billable: bool
    month: str
    used_month: str | None = None

    def price(self, quantity: int) -> Fraction:
        """Price so many units, exactly. Units: GPU-seconds or tokens; yuan."""
        return price_usage(self.unit, quantity, self.unit_price)

    def divide(self, quantity: int) -> Quotient:
        """Price them as `price` does, as a quotient that is not reduced: where it is rounded at once."""
        return divide_price(self.unit, quantity, self.unit_price)


@dataclass(frozen=True)
class LineCount:
    """What a job's line counts so far, and whether it leads its segment. Units: GPU-seconds or tokens."""

    quantity: int
    leads: bool


@dataclass(frozen=True)
class Promise:
    """What the customer of a job was promised to pay for at most. Units: GPU-seconds.

    A job pauses at its limit, and goes on beyond its cap at the house's cost.
    """

    limit: Money | None = None
    limit_gpu_seconds: int | None = None
    cap: Money | None = None


NOTHING_PROMISED = Promise()


class Bound(StrEnum):
    """Which promise ends a charge."""

    CAP = "cap"
    LIMIT = "limit"
    BUDGET = "budget"


@dataclass(frozen=True)
class MonthBudget:
    """A month's budget, and how far a job's money reaches in it. Units: micro-yuan.

    `budget` is what the month's usage may add to invoices: what they take back of closed months is more room.
    `reach_micros` is what nobody holds, and what the job holds itself: the hold of another job is never drawn on.
    """

    budget: Money
    reach_micros: int


@dataclass(frozen=True)
class ChargeLimits:
    """All that may end a job's charge in a month: its promise and the budget, with what counts towards each so far.

    `lines` are the job's own, of all months; `segments` those of the month, of all jobs of the contract.
    """

    promise: Promise = NOTHING_PROMISED
    lines: Mapping[RateSegment, LineCount] = field(default_factory=dict)
    segments: Mapping[RateSegment, int] = field(default_factory=dict)
    budget: MonthBudget | None = None

    def leads(self, segment: RateSegment) -> bool:
        """Tell whether the job's line leads its segment, or would: the first line of one does, if it has a promise."""
        if segment in self.lines:
            return self.lines[segment].leads
        return self.promise != NOTHING_PROMISED and segment not in self.segments

    def find_bound(self, added: Mapping[RateSegment, int]) -> Bound | None:
        """Find the promise that would not hold with so many units more; None where all hold.

        Neither the exact price nor what invoices ask for goes beyond a promised sum.
        """
        lines = {segment: line.quantity for segment, line in self.lines.items()}
        lines = add_units(lines, added)
        if self._exceeds(lines, self.promise.cap):
            return Bound.CAP
        if self._exceeds(lines, self.promise.limit) or self._exceeds_time(lines):
            return Bound.LIMIT
        if self.budget is not None and self._exceeds_budget(self.budget, added):
            return Bound.BUDGET
        return None

    def _exceeds(self, lines: Mapping[RateSegment, int], most: Money | None) -> bool:
        if most is None:
            return False
        priced = [ExactLine(segment.price(count), self.leads(segment)) for segment, count in lines.items()]
        invoiced = sum((line.most for line in priced), Money.zero())
        return invoiced > most or sum_exact(lines) > Fraction(most.to_decimal())

    def _exceeds_time(self, lines: Mapping[RateSegment, int]) -> bool:
        most = self.promise.limit_gpu_seconds
        used = sum(count for segment, count in lines.items() if segment.unit == Unit.GPU_SECONDS)
        return most is not None and used > most

    def _exceeds_budget(self, month: MonthBudget, added: Mapping[RateSegment, int]) -> bool:
        if sum_invoiced(add_units(self.segments, added)) > month.budget:
            return True
        before = {segment: line.quantity for segment, line in self.lines.items()}
        return _price_billable(add_units(before, added)) - _price_billable(before) > month.reach_micros


def add_units(counts: Mapping[RateSegment, int], added: Mapping[RateSegment, int]) -> dict[RateSegment, int]:
    """Add units to what segments, or a job's lines in them, count. Units: GPU-seconds or tokens."""
    totals = dict(counts)
    for segment, quantity in added.items():
        totals[segment] = totals.get(segment, 0) + quantity
    return totals


def sum_exact(counts: Mapping[RateSegment, int]) -> Fraction:
    """Add up exact prices, in yuan."""
    return sum((segment.price(count) for segment, count in counts.items()), Fraction(0))


def sum_invoiced(segments: Mapping[RateSegment, int]) -> Money:
    """Add up what invoices ask for: the billable segments, each rounded once, half-even to the fen."""
    billable = (segment.divide(count) for segment, count in segments.items() if segment.billable)
    return Money(sum(round_quotient_to_fen(*price).micros for price in billable))


def _price_billable(counts: Mapping[RateSegment, int]) -> int:
    """Price what is billed of a job's units in micro-yuan, rounded once, as its hold captures it."""
    dividend, divisor = add_quotients(each.divide(count) for each, count in counts.items() if each.billable)
    return divide_half_even(dividend * MICROS_PER_UNIT, divisor)
