"""Voids: a final invoice of which nothing was paid asks for nothing any more, and keeps its number.

What an invoice for usage asked for is taken back by a credit note in full, so that a month that is over never changes;
an advance is cancelled with its grant, which was never credited. What of it comes in later is the customer's credit.
"""

from dataclasses import dataclass, field

from sqlalchemy import select

from broker import errors
from broker.billing.credit_notes import credit_whole
from broker.billing.given_back import share_taken_back
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.orders import require_not_credited, void_order
from broker.billing.service import list_lines, lock_invoice
from broker.billing.tables import Dispute, Invoice
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.second_person import Giving, require_second_person
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class Touched:
    """An invoice as a void sees it: what has become of it. `by_grants`: grants have paid for some of its usage.

    `taken_back` is what later months' invoices take back of it.
    """

    status: InvoiceStatus
    total: Money
    paid: Money
    credited: Money
    written_off: Money
    by_grants: bool = False
    is_disputed: bool = False
    taken_back: Money = field(default_factory=Money.zero)


def find_obstacle(invoice: Touched) -> str | None:
    """Find why an invoice cannot be made void, and what is done instead; None where it can. Pure."""
    note = "by a credit note (POST /v1/credit-notes)"
    obstacles = (
        (
            invoice.status == InvoiceStatus.DRAFT,
            "is a draft, which asks for nothing yet: correct what it bills, and POST /v1/invoices drafts it anew.",
        ),
        (
            bool(invoice.paid.micros),
            f"was paid, or a part of it: take it back {note}, and pay it back by POST /v1/refunds.",
        ),
        (bool(invoice.credited.micros), f"was credited, or a part of it: take back the rest {note}."),
        (bool(invoice.written_off.micros), f"was written off, or a part of it: take back the rest {note}."),
        (invoice.total.micros <= 0, "asks for nothing: there is nothing to be made void."),
        (invoice.by_grants, f"has usage that grants have paid for: take back what it asks for beside that {note}."),
        (bool(invoice.taken_back.micros), f"is taken back in part by a later invoice: take back the rest {note}."),
        (invoice.is_disputed, "is disputed: end its dispute first (POST /v1/disputes/{id}/lose, /win or /withdraw)."),
    )
    return next((told for stands, told in obstacles if stands), None)


async def void_invoice(work: Work, invoice_id: str, reason: str) -> Invoice:
    """Make a final invoice void, of which nothing was paid, credited or written off. Voiding twice changes nothing.

    Raises: NotFound, IllegalTransition, ApprovalNeeded, PeriodClosed.
    """
    terms, invoice = await lock_invoice(work, invoice_id)
    if invoice.status == InvoiceStatus.VOID:
        return invoice
    obstacle = find_obstacle(await _read_touched(work, invoice))
    if obstacle is not None:
        raise errors.IllegalTransition(
            f"Invoice {invoice.number or invoice.id} {obstacle}", status_before=invoice.status
        )
    if invoice.kind == InvoiceKind.ADVANCE:
        await require_not_credited(work, invoice)
        require_second_person(work, Giving.CREDIT_NOTE, invoice.total)
        await void_order(work, terms, invoice)
    else:
        await credit_whole(work, invoice.id, reason)
        invoice.status, invoice.paid_at = InvoiceStatus.VOID.value, None
    facts = {"invoice_id": invoice.id, "number": invoice.number, "amount": invoice.total.format_amount()}
    kind = ContractEventKind.INVOICE_VOIDED
    await record_contract_event(work, terms, kind, {**facts, "reason": reason}, occasion=invoice.id)
    await work.session.flush()
    return invoice


async def _read_touched(work: Work, invoice: Invoice) -> Touched:
    standing = select(Dispute.id).where(Dispute.invoice_id == invoice.id, Dispute.ended_at.is_(None)).limit(1)
    lines = await list_lines(work, invoice.id)
    return Touched(
        status=InvoiceStatus(invoice.status),
        total=invoice.total,
        paid=Money(invoice.paid_micros),
        credited=Money(invoice.credited_micros),
        written_off=Money(invoice.written_off_micros),
        by_grants=any(line.grants for line in lines),
        is_disputed=await work.session.scalar(standing) is not None,
        taken_back=sum((await share_taken_back(work, invoice, lines)).values(), Money.zero()),
    )
