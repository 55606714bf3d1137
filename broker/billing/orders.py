"""Orders: advance invoices that are void where they are cancelled or not paid in time. The caller holds the locks."""

from collections.abc import Collection

from broker import errors
from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, command_contract_event, record_contract_event
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.ledger import service as ledger
from broker.persistence.driver import Command
from broker.work import Work
from pricing.money import Money


async def is_order_over(work: Work, invoice: Invoice) -> bool:
    """Tell whether an advance invoice asks for nothing any more, as `list_orders_over` says it."""
    return bool(await list_orders_over(work, [invoice]))


async def list_orders_over(work: Work, invoices: Collection[Invoice]) -> set[str]:
    """List the ids of those advance invoices that ask for nothing any more; all are asked about at once.

    They are void already, or were not paid by their last moment, or before the term of their grant was over: what would
    be paid for could not be used. One that was paid once, and is owed again, is never over.
    """
    over = {each.id for each in invoices if each.status == InvoiceStatus.VOID}
    asking = {each.grant_id: each for each in invoices if each.status == InvoiceStatus.OPEN and each.grant_id}
    grants = await contracts.load_grants(work, asking.keys()) if asking else {}
    for grant in grants.values():
        lasts = (asking[grant.id].expires_at, grant.expires_at)
        if not grant.credited and any(last is not None and last <= work.now for last in lasts):
            over.add(asking[grant.id].id)
    return over


async def require_not_credited(work: Work, invoice: Invoice) -> None:
    """Require that the grant of an advance invoice was never credited. Raises: IllegalTransition."""
    if invoice.grant_id is not None and (await contracts.get_grant(work, invoice.grant_id)).credited:
        raise errors.IllegalTransition(
            f"Invoice {invoice.number} was paid once, and its grant credited; void the grant or have it paid.",
            status_before=invoice.status,
        )


async def void_order(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Make an unpaid order's invoice void, take back what was booked for it, and cancel its grant.

    What was paid of it already stays the customer's credit.
    """
    assert invoice.grant_id is not None, "an order is for a grant"
    if invoice.paid_micros:
        await _keep_part(work, terms, invoice)
    invoice.status = InvoiceStatus.VOID.value
    net, tax = invoice.net, invoice.tax
    await ledger.book_advance_cancelled(work, terms, invoice.grant_id, net=net, tax=tax, reference=invoice.id)
    await contracts.end_grant(work, invoice.grant_id, GrantStatus.CANCELLED)
    is_overdue = invoice.expires_at is not None and invoice.expires_at <= work.now
    facts = {"grant_id": invoice.grant_id, "invoice_id": invoice.id, "not_paid_in_time": is_overdue}
    await record_contract_event(work, terms, ContractEventKind.GRANT_CANCELLED, facts)


async def _keep_part(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    paid, invoice.paid_micros = Money(invoice.paid_micros), 0
    await ledger.book_paid_to_credit(work, terms, paid, reference=invoice.id)
    await tell_credited(work, terms, invoice.id, paid)


async def keep_late_payment(work: Work, terms: ContractTerms, invoice: Invoice) -> None:
    """Keep what came for an order that is over: the customer's credit, once."""
    if await close_late_order(work, terms, invoice):
        await ledger.book_credit(work, terms, invoice.total, reference=invoice.id)
        await tell_credited(work, terms, invoice.id, invoice.total)


async def close_late_order(work: Work, terms: ContractTerms, invoice: Invoice) -> bool:
    """Make an order void for which money came too late; tells whether this is the first time that any came."""
    if invoice.status != InvoiceStatus.VOID:
        await void_order(work, terms, invoice)
    is_first = invoice.paid_at is None
    invoice.paid_at = invoice.paid_at or work.now
    return is_first


async def tell_credited(work: Work, terms: ContractTerms, invoice_id: str, amount: Money) -> None:
    """Tell that money which came is the customer's credit, and for which invoice it came."""
    await work.run_together([command_credited(work, terms, invoice_id, amount)])


def command_credited(work: Work, terms: ContractTerms, invoice_id: str | None, amount: Money) -> Command:
    """Make the command that tells that money which came is the customer's credit; it may have named an invoice."""
    facts = {"invoice_id": invoice_id, "amount": amount.format_amount()}
    return command_contract_event(work, terms, ContractEventKind.PAYMENT_CREDITED, facts)
