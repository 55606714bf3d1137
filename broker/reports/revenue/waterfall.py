"""When what is deferred is expected to be earned: evenly by days until each grant ends, and all of it by then. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from pricing.money import Money, round_to_fen

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DeferredGrant:
    """What is deferred of one grant, and its last day; None: it has no end yet."""

    amount: Money
    last_day: date | None


@dataclass(frozen=True)
class ExpectedMonth:
    """What is expected to be earned in a calendar month; `lapsing` is deferred of grants that end in it.

    Month None: of grants that have no end.
    """

    month: str | None
    expected: Money
    lapsing: Money


def spread_deferred(deferred: Iterable[DeferredGrant], first_day: date) -> list[ExpectedMonth]:
    """Spread what is deferred over the months from a day on: both columns add up to it.

    Use is taken to be even, as a customer's own pace would have it end early or late; what is over is earned at once.
    """
    expected: defaultdict[str | None, Money] = defaultdict(Money.zero)
    lapsing: defaultdict[str | None, Money] = defaultdict(Money.zero)
    for each in deferred:
        last_day = None if each.last_day is None else max(each.last_day, first_day)
        lapsing[None if last_day is None else _name(last_day)] += each.amount
        for month, amount in _spread(each.amount, first_day, last_day):
            expected[month] += amount
    months = sorted(expected.keys() | lapsing.keys(), key=lambda month: (month is None, month or ""))
    return [ExpectedMonth(month, expected[month], lapsing[month]) for month in months]


def _spread(amount: Money, first_day: date, last_day: date | None) -> Iterable[tuple[str | None, Money]]:
    """Share an amount among the months of its days; what was shared by each month's end is rounded, not each share."""
    if last_day is None:
        yield None, amount
        return
    days, shared, begin = (last_day - first_day).days + 1, Money.zero(), first_day
    while begin <= last_day:
        end = min(_find_month_end(begin), last_day)
        reached = round_to_fen(Fraction(amount.to_decimal()) * Fraction((end - first_day).days + 1, days))
        yield _name(begin), reached - shared
        shared, begin = reached, end + ONE_DAY


def _find_month_end(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - ONE_DAY


def _name(day: date) -> str:
    return f"{day:%Y-%m}"
