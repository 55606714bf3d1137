"""What the page of receivables shows: what is owed by age, who owes it, and how contracts stand. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from broker.arrears.views import ArrearsRecord
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.contracts.terms.arrears import ArrearsState
from broker.reports.receivables import Age, Receivable, sum_by_age
from pricing.money import Money

AGES = {
    Age.NOT_DUE: N_("not due yet"),
    Age.TO_30: N_("1 to 30 days"),
    Age.TO_60: N_("31 to 60 days"),
    Age.TO_90: N_("61 to 90 days"),
    Age.OVER_90: N_("over 90 days"),
}
STATES = {
    ArrearsState.CURRENT: N_("current"),
    ArrearsState.GRACE: N_("in grace"),
    ArrearsState.SUSPENDED: N_("suspended"),
    ArrearsState.RETENTION: N_("kept, about to be deleted"),
    ArrearsState.CLOSED: N_("closed for arrears"),
}
RECEIVABLE_COLUMNS = (
    Column(N_("Customer")),
    *(Column(name, is_number=True) for name in AGES.values()),
    Column(N_("Due"), is_number=True),
    Column(N_("Disputed"), is_number=True),
)
ARREARS_COLUMNS = (
    Column(N_("Customer")),
    Column(N_("Contract")),
    Column(N_("State")),
    Column(N_("Since")),
    Column(N_("Next state on")),
    Column(N_("Deletion on")),
    Column(N_("Overdue"), is_number=True),
)
SHOWN = 200


@dataclass(frozen=True)
class AgeBar:
    """What is owed of one age; `width` is in per cent of the largest."""

    age: Age
    amount: Money
    width: float
    share: Fraction | None


@dataclass(frozen=True)
class ReceivablesView:
    """What all owe, by age, and the customers who owe most; `count` is of all who owe."""

    ages: Sequence[AgeBar]
    due: Money
    rows: Sequence[Receivable]
    count: int

    @property
    def overdue(self) -> Money:
        return sum((bar.amount for bar in self.ages if bar.age != Age.NOT_DUE), Money.zero())


@dataclass(frozen=True)
class ArrearsView:
    """Contracts that are or were behind with paying, with their numbers and the names of their customers."""

    rows: Sequence[ArrearsRecord]
    customers: Mapping[str, str]
    numbers: Mapping[str, str]
    listing: Listing


def show_receivables(owed: Sequence[Receivable]) -> ReceivablesView:
    """Lay out what is owed, the largest debts first."""
    sums = sum_by_age(invoice for each in owed for invoice in each.invoices)
    due, largest = sum(sums.values(), Money.zero()), max(sums.values(), key=lambda amount: amount.micros)
    bars = [
        AgeBar(
            age,
            amount,
            round(100 * amount.micros / largest.micros, 2) if largest.micros else 0.0,
            Fraction(amount.micros, due.micros) if due.micros else None,
        )
        for age, amount in sums.items()
    ]
    rows = sorted(owed, key=lambda each: (-each.due.micros, each.customer))
    return ReceivablesView(bars, due, rows[:SHOWN], len(rows))


def count_disputed(owed: Receivable) -> Money:
    """Count what a customer disputes of what it owes."""
    return sum((invoice.disputed for invoice in owed.invoices), Money.zero())
