"""Orders: advance invoices that are void where they are cancelled or not paid in time. The caller holds the locks."""

from datetime import datetime

from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, GrantStatus
from broker.ledger import service as ledger
from broker.work import Work


def is_order_over(invoice: Invoice, now: datetime) -> bool:
    """Tell whether an invoice asks for nothing any more: void already, or not paid by its last moment."""
    if invoice.status == InvoiceStatus.VOID:
        return True
    return invoice.status == InvoiceStatus.OPEN and invoice.expires_at is not None and invoice.expires_at <= now


async def void_order(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Make an unpaid order's invoice void, take back what was booked for it, and cancel its grant."""
    assert invoice.grant_id is not None, "an order is for a grant"
    invoice.status = InvoiceStatus.VOID.value
    net, tax = invoice.net, invoice.tax
    await ledger.book_advance_cancelled(work, terms, invoice.grant_id, net=net, tax=tax, reference=invoice.id)
    await contracts.end_grant(work, invoice.grant_id, GrantStatus.CANCELLED)


async def keep_late_payment(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Keep what came for an order that is over: the customer's credit, once."""
    if invoice.status != InvoiceStatus.VOID:
        await void_order(work, terms, invoice)
    if invoice.paid_at is None:
        invoice.paid_at = work.now
        await ledger.book_credit(work, terms, invoice.total, reference=invoice.id)
