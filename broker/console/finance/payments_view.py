"""What the pages of payments show: what found no place, what it may be for, and where it went. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.payments.listing import Payment, PaymentAllocation
from broker.payments.model import Outcome, PaymentStatus
from broker.reports.receipts import ReceiptSums, Suggestion

STATUSES = {
    PaymentStatus.UNMATCHED: N_("unmatched"),
    PaymentStatus.PARTLY_MATCHED: N_("partly matched"),
    PaymentStatus.MATCHED: N_("matched"),
    PaymentStatus.RETURNED: N_("returned"),
}
OUTCOMES = {
    Outcome.MATCHED: N_("matched"),
    Outcome.PARTIAL: N_("pays a part"),
    Outcome.OVER: N_("more than was due"),
    Outcome.UNDER: N_("less by the bank's fee"),
    Outcome.UNMATCHED: N_("unmatched"),
    Outcome.DUPLICATE: N_("was here already"),
    Outcome.OUTGOING: N_("went out"),
    Outcome.REJECTED: N_("rejected"),
}
PAYMENT_COLUMNS = (
    Column(N_("Day")),
    Column(N_("Payer")),
    Column(N_("Remark")),
    Column(N_("State")),
    Column(N_("Why")),
    Column(N_("Amount"), is_number=True),
    Column(N_("Unmatched"), is_number=True),
)
LAYOUTS = ("icbc", "cmb", "ccb", "signed")


@dataclass(frozen=True)
class PaymentsView:
    """A page of payments; the sums are of all that is unmatched."""

    rows: Sequence[Payment]
    sums: ReceiptSums
    listing: Listing


@dataclass(frozen=True)
class PaymentView:
    """A payment with what it was allocated to, and what is left of it may be for; `numbers` name both."""

    payment: Payment
    customer: str | None
    allocations: Sequence[PaymentAllocation]
    numbers: Mapping[str, str]
    suggestions: Sequence[Suggestion]

    @property
    def live(self) -> Sequence[PaymentAllocation]:
        return [each for each in self.allocations if each.undone_at is None]


@dataclass(frozen=True)
class ImportView:
    """What became of the lines of a statement, as the API told it."""

    counts: Mapping[str, int]
    received: str
    layout: str | None
    lines: Sequence[Mapping[str, Any]]


def show_import(told: Mapping[str, Any]) -> ImportView:
    """Lay out the answer to an import: what has no place or was rejected comes first."""
    last = {"matched", "duplicate", "outgoing"}
    lines = sorted(told["lines"], key=lambda line: (line["outcome"] in last, line["line"]))
    return ImportView(told["counts"], told["received"]["amount"], told["layout"], lines)
