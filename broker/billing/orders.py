"""Orders: advance invoices that are void where they are cancelled or not paid in time. The caller holds the locks."""

from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.ledger import service as ledger
from broker.work import Work


async def is_order_over(work: Work, invoice: Invoice) -> bool:
    """Tell whether an advance invoice asks for nothing any more.

    It is void already, or it was not paid by its last moment, or before the term of its grant was over: what would be
    paid for could not be used.
    """
    if invoice.status == InvoiceStatus.VOID:
        return True
    if invoice.status != InvoiceStatus.OPEN or invoice.grant_id is None:
        return False
    grant = await contracts.get_grant(work, invoice.grant_id)
    return any(last is not None and last <= work.now for last in (invoice.expires_at, grant.expires_at))


async def void_order(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Make an unpaid order's invoice void, take back what was booked for it, and cancel its grant."""
    assert invoice.grant_id is not None, "an order is for a grant"
    invoice.status = InvoiceStatus.VOID.value
    net, tax = invoice.net, invoice.tax
    await ledger.book_advance_cancelled(work, terms, invoice.grant_id, net=net, tax=tax, reference=invoice.id)
    await contracts.end_grant(work, invoice.grant_id, GrantStatus.CANCELLED)
    is_overdue = invoice.expires_at is not None and invoice.expires_at <= work.now
    facts = {"grant_id": invoice.grant_id, "invoice_id": invoice.id, "not_paid_in_time": is_overdue}
    await record_contract_event(work, terms, ContractEventKind.GRANT_CANCELLED, facts)


async def keep_late_payment(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Keep what came for an order that is over: the customer's credit, once."""
    if invoice.status != InvoiceStatus.VOID:
        await void_order(work, terms, invoice)
    if invoice.paid_at is None:
        invoice.paid_at = work.now
        await ledger.book_credit(work, terms, invoice.total, reference=invoice.id)
        facts = {"invoice_id": invoice.id, "amount": invoice.total.format_amount()}
        await record_contract_event(work, terms, ContractEventKind.PAYMENT_CREDITED, facts)
