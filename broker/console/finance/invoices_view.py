"""What the list of invoices and the page of one show. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from broker.billing.listing import Invoice, InvoiceLine, InvoiceSums
from broker.billing.model import InvoiceStatus, LineKind
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.notices.reminders import Reminder
from broker.reports.invoices.aftermath import Aftermath
from broker.reports.invoices.segments import InvoiceSegment
from pricing.money import Money

STATUSES = {
    InvoiceStatus.DRAFT: N_("draft"),
    InvoiceStatus.OPEN: N_("open"),
    InvoiceStatus.PARTLY_PAID: N_("partly paid"),
    InvoiceStatus.PAID: N_("paid"),
    InvoiceStatus.VOID: N_("void"),
    InvoiceStatus.WRITTEN_OFF: N_("written off"),
}
KINDS = {"usage": N_("usage"), "advance": N_("in advance")}
LINE_KINDS = {
    LineKind.COMMITMENT: N_("In advance"),
    LineKind.USAGE: N_("Usage"),
    LineKind.ADVANCE: N_("Paid by grants"),
    LineKind.CORRECTION: N_("Correction of an earlier month"),
    LineKind.TIER_SETTLEMENT: N_("Volume tiers"),
    LineKind.TAX: N_("Tax"),
    LineKind.TRUE_UP: N_("True-up"),
    LineKind.GUARANTEE: N_("Guaranteed GPUs"),
    LineKind.BORNE: N_("Borne by us"),
}
LIST_COLUMNS = (
    Column(N_("Number")),
    Column(N_("Customer")),
    Column(N_("Contract number")),
    Column(N_("Kind")),
    Column(N_("Month")),
    Column(N_("State")),
    Column(N_("To be paid by")),
    Column(N_("Total"), is_number=True),
    Column(N_("Due"), is_number=True),
)
SEGMENT_COLUMNS = (
    Column(N_("Rate segment")),
    Column(N_("Month of use")),
    Column(N_("Price"), is_number=True),
    Column(N_("Lines"), is_number=True),
    Column(N_("Quantity"), is_number=True),
    Column(N_("Amount"), is_number=True),
)
LINE_COLUMNS = (
    Column(N_("Line"), is_number=True),
    Column(N_("Description")),
    Column(N_("Job")),
    Column(N_("Price version")),
    Column(N_("Quantity"), is_number=True),
    Column(N_("Amount"), is_number=True),
)


@dataclass(frozen=True)
class InvoiceList:
    """A page of invoices with the names of their customers; the sums are of all that match."""

    rows: Sequence[Invoice]
    customers: Mapping[str, str]
    sums: InvoiceSums
    listing: Listing


@dataclass(frozen=True)
class InvoiceView:
    """An invoice from its total down, and what became of it. `may` are the acts that its state allows."""

    invoice: Invoice
    customer: str
    segments: Sequence[InvoiceSegment]
    aftermath: Aftermath
    may: frozenset[str]
    reminders: Sequence[Reminder] = ()

    @property
    def adds_up(self) -> bool:
        """Tell whether the segments add up to the total."""
        return sum((each.amount for each in self.segments), Money.zero()) == self.invoice.total


@dataclass(frozen=True)
class SegmentLines:
    """A page of a segment's lines."""

    segment: InvoiceSegment
    rows: Sequence[InvoiceLine]
    offset: int


@dataclass(frozen=True)
class Chain:
    """One link of what became of an invoice: what is left to be paid after it."""

    on: date
    kind: str
    name: str
    amount: Money
    left: Money
    href: str | None = None
    note: str = ""


def list_acts(invoice: Invoice, today: date) -> frozenset[str]:
    """List what finance may do with an invoice in its state, on its contract's day; the API decides."""
    if invoice.status == InvoiceStatus.DRAFT:
        return frozenset({"finalize", "redraft"})
    acts = {"credit-note"} if invoice.status != InvoiceStatus.VOID else set()
    if invoice.status == InvoiceStatus.OPEN:
        is_overdue = invoice.due_on is not None and invoice.due_on < today
        acts |= {"pay", "write-off"} | ({"remind"} if is_overdue else set())
        acts |= set() if invoice.paid_micros or invoice.credited_micros else {"void"}
    return frozenset(acts)


def trace_chain(invoice: Invoice, aftermath: Aftermath) -> list[Chain]:
    """Trace what is left to be paid of a final invoice, from its total through all that became of it, by day."""
    if invoice.finalized_at is None:
        return []
    links: list[tuple[date, str, str, Money, str | None, str]] = [
        (note.created_at.date(), "credit_note", note.number, Money(-note.total_micros), None, note.reason)
        for note in aftermath.credit_notes
    ]
    links += [
        (
            each.value_on,
            "payment",
            each.payer or each.serial,
            -(each.amount + each.fee),
            f"/console/finance/payments/{each.payment_id}",
            each.serial,
        )
        for each in aftermath.receipts
        if each.undone_reason is None
    ]
    links += [
        (each.created_at.date(), "write_off", each.id, Money(-abs(each.quantity)), None, each.reason)
        for each in aftermath.adjustments
    ]
    by_hand = invoice.paid_micros + sum(amount.micros for _on, kind, _name, amount, *_ in links if kind == "payment")
    if by_hand > 0:
        links.append(((invoice.paid_at or invoice.finalized_at).date(), "by_hand", "", Money(-by_hand), None, ""))
    left = invoice.total
    chain = [Chain(invoice.finalized_at.date(), "invoice", invoice.number or invoice.id, left, left)]
    for on, kind, name, amount, href, note in sorted(links, key=lambda link: (link[0], link[2])):
        left += amount
        chain.append(Chain(on, kind, name, amount, left, href, note))
    return chain


def write_price(price: Decimal | None) -> str | None:
    """Write a price with the digits that it has."""
    return None if price is None else format(price.normalize(), "f")
