"""What the page of commitments shows: contracts, one of them as a chart, grants that end, orders. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from broker.console.finance.burn_down_chart import BurnDownChart
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.reports.commitments.report import CommitmentRow, EndingGrant
from broker.reports.commitments.trace import BurnDownTrace
from pricing.money import Money

CONTRACT_COLUMNS = (
    Column(N_("Customer")),
    Column(N_("Contract number")),
    Column(N_("Plan")),
    Column(N_("Period ends")),
    Column(N_("Committed, h"), is_number=True),
    Column(N_("Used, h"), is_number=True),
    Column(N_("Used"), is_number=True),
    Column(N_("Left, h"), is_number=True),
    Column(N_("Used up between")),
    Column(N_("Expected true-up"), is_number=True),
)
GRANT_COLUMNS = (
    Column(N_("Ends")),
    Column(N_("Customer")),
    Column(N_("Kind")),
    Column(N_("Left"), is_number=True),
    Column(N_("Used"), is_number=True),
    Column(N_("Days left at this pace"), is_number=True),
    Column(N_("Will lapse"), is_number=True),
)
ORDER_COLUMNS = (
    Column(N_("Order")),
    Column(N_("Customer")),
    Column(N_("What")),
    Column(N_("Unpaid until")),
    Column(N_("Amount"), is_number=True),
)
GRANT_KINDS = {"bought": N_("bought"), "promotional": N_("promotional"), "compensation": N_("compensation")}
PLANS = {"on_demand": N_("on demand"), "prepaid": N_("prepaid"), "long_term": N_("long term")}
SHOWN = 200


@dataclass(frozen=True)
class CommitmentsView:
    """The contracts with a commitment, those that will be short first; `chosen` is the one that is drawn.

    The sums and the count are of all, `rows` those that are shown.
    """

    every: Sequence[CommitmentRow]
    chosen: CommitmentRow | None
    trace: BurnDownTrace | None
    chart: BurnDownChart | None

    @property
    def rows(self) -> Sequence[CommitmentRow]:
        return self.every[:SHOWN]

    @property
    def count(self) -> int:
        return len(self.every)

    @property
    def used(self) -> Fraction | None:
        committed = sum(row.commitment.attained.committed for row in self.every)
        return Fraction(sum(row.commitment.attained.used for row in self.every), committed) if committed else None

    @property
    def expected_true_up(self) -> Money:
        return sum((expect_true_up(row) for row in self.every), Money.zero())


@dataclass(frozen=True)
class GrantsView:
    """Grants that end within so many days."""

    rows: Sequence[EndingGrant]
    days: int


def expect_true_up(row: CommitmentRow) -> Money:
    """Tell what a commitment will be charged for unused hours at this pace."""
    return row.commitment.charge(row.commitment.expected)


def order_rows(rows: Sequence[CommitmentRow]) -> list[CommitmentRow]:
    """Order contracts: who will be charged for most unused hours first, then by what share is used."""

    def key(row: CommitmentRow) -> tuple[int, Fraction, str, str]:
        attained = row.commitment.attained
        share = Fraction(attained.used, attained.committed) if attained.committed else Fraction(1)
        return -expect_true_up(row).micros, share, row.customer, row.terms.id

    return sorted(rows, key=key)
