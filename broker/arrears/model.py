"""In which state of arrears a contract is on a day, as a function of facts. Pure.

Days are calendar days of the contract's time zone. Decision 0072 says why it is decided so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from broker.contracts.terms.agreed import ArrearsTerms
from broker.contracts.terms.arrears import ArrearsState
from pricing.money import Money

DAY, NOTHING = timedelta(days=1), Money.zero()


class ExtensionKind(StrEnum):
    """Why finance changes the time that a contract has: the customer has promised to pay, or it may take longer;
    or SHORTENED, what was given ends earlier.
    """

    PROMISE_TO_PAY = "promise_to_pay"
    EXTENSION = "extension"
    SHORTENED = "shortened"


class DebtKind(StrEnum):
    """What puts a contract into arrears."""

    OVERDUE_INVOICE = "overdue_invoice"
    BALANCE_BELOW_ZERO = "balance_below_zero"


@dataclass(frozen=True)
class Debt:
    """What is owed, and the first day on which that is arrears: for an invoice the one after its last day to pay.

    `disputed` is what of it the customer disputes: it does not count until that is decided. `object_id` is the invoice,
    or the contract whose money is below zero.
    """

    kind: DebtKind
    object_id: str
    amount: Money
    since: date
    number: str | None = None
    disputed: Money = NOTHING

    @property
    def counted(self) -> Money:
        return max(NOTHING, self.amount - self.disputed)


@dataclass(frozen=True)
class Extension:
    """Days that finance has given, the first and the last included: none of them counts."""

    first: date
    last: date

    def covers(self, day: date) -> bool:
        return self.first <= day <= self.last


def follow_extensions(given: Iterable[tuple[ExtensionKind, Extension]]) -> list[Extension]:
    """Follow what finance has given and shortened, in that order: which days do not count now. Pure."""
    kept: list[Extension] = []
    for kind, days in given:
        if kind == ExtensionKind.SHORTENED:
            kept = [Extension(each.first, min(each.last, days.last)) for each in kept if each.first <= days.last]
        else:
            kept.append(days)
    return kept


@dataclass(frozen=True)
class Facts:
    """All that the state of a contract depends on.

    `deletion_on`: the day from which data is deleted, once that was announced. `is_closed`: it was closed on such a
    day, and stays so whatever is paid.
    """

    debts: Sequence[Debt]
    lengths: ArrearsTerms
    extensions: Sequence[Extension] = ()
    deletion_on: date | None = None
    is_closed: bool = False


@dataclass(frozen=True)
class Standing:
    """The state of a contract on a day: `since` is its first one, `until` the first of the next state, if it has one.

    `debts` are those that count, the oldest first; `owed` is their sum.
    """

    state: ArrearsState
    since: date | None
    until: date | None
    debts: tuple[Debt, ...] = ()

    @property
    def owed(self) -> Money:
        return sum((debt.counted for debt in self.debts), Money.zero())


def list_overdue(debts: Iterable[Debt], today: date) -> tuple[Debt, ...]:
    """List the debts that count on a day, the oldest first."""
    counted = [debt for debt in debts if debt.since <= today and debt.counted.micros > 0]
    return tuple(sorted(counted, key=lambda debt: (debt.since, debt.object_id)))


def decide_standing(facts: Facts, today: date) -> Standing:
    """Decide the state of a contract on a day."""
    overdue = list_overdue(facts.debts, today)
    if facts.is_closed:
        return Standing(ArrearsState.CLOSED, None, None, overdue)
    if not overdue:
        return Standing(ArrearsState.CURRENT, None, None)
    first = overdue[0].since
    state = _find_state(facts, first, today)
    since = _find_beginning(facts, first, today, state)
    until = None if state == ArrearsState.CLOSED else _find_end(facts, first, today, state)
    return Standing(state, since, until, overdue)


def plan_deletion(facts: Facts, today: date) -> date:
    """Plan the day from which data is deleted, where that is announced today: after the whole of the retention.

    However late it is announced, customers have as many days as their contract gives from then on, and one at least.
    """
    overdue, lengths = list_overdue(facts.debts, today), facts.lengths
    whole = lengths.grace_days + lengths.suspended_days + lengths.retention_days
    by_count = _find_day(facts, overdue[0].since, whole) if overdue else today
    return max(by_count, today + DAY * max(1, lengths.retention_days))


def count_days(facts: Facts, first: date, day: date) -> int:
    """Count the days of arrears before a day, the first one included; those of extensions do not count."""
    counted, upto = 0, first
    for each in sorted(facts.extensions, key=lambda extension: extension.first):
        begin, end = max(each.first, upto), min(each.last + DAY, day)
        if end > begin:
            counted += (end - begin).days
            upto = end
    return (day - first).days - counted


def _find_state(facts: Facts, first: date, day: date) -> ArrearsState:
    """Find the state of a day on which something is overdue; in an extension it is no more than grace."""
    if any(each.covers(day) for each in facts.extensions):
        return ArrearsState.GRACE
    days, lengths = count_days(facts, first, day), facts.lengths
    if days < lengths.grace_days:
        return ArrearsState.GRACE
    if days < lengths.grace_days + lengths.suspended_days:
        return ArrearsState.SUSPENDED
    if facts.deletion_on is not None and day >= facts.deletion_on:
        return ArrearsState.CLOSED
    return ArrearsState.RETENTION


def _find_beginning(facts: Facts, first: date, today: date, state: ArrearsState) -> date:
    day = today
    while day > first and _find_state(facts, first, day - DAY) == state:
        day -= DAY
    return day


def _find_end(facts: Facts, first: date, today: date, state: ArrearsState) -> date:
    """Find the first day of the next state, if nothing is paid: for retention the day of the deletion."""
    if state == ArrearsState.RETENTION:
        return facts.deletion_on or plan_deletion(facts, today)
    day = today + DAY
    while _find_state(facts, first, day) == state:
        day += DAY
    return day


def _find_day(facts: Facts, first: date, days: int) -> date:
    """Find the day by which so many days of arrears have counted, and which no extension covers."""
    day = first + DAY * days
    while count_days(facts, first, day) < days or any(each.covers(day) for each in facts.extensions):
        day += DAY
    return day
