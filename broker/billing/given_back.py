"""What has been given back of an advance: by credit notes, and by refunds of the units that it paid for.

Together they never come to more than was paid. Units that were carried on into another contract may be refunded there
while a note is issued here, under another contract's lock: both take the invoice's, after it.
"""

from collections.abc import Collection

from sqlalchemy import func, select

from broker.billing.tables import CreditNote, Invoice
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


async def lock_advance(work: Work, invoice_id: str) -> Invoice:
    """Lock the invoice of which something is given back: nobody else gives back of it before this is done.

    The caller holds the lock of a contract, and takes the locks of several invoices in the order of their ids.
    """
    return await work.session.get_one(Invoice, invoice_id, with_for_update=True, populate_existing=True)


async def read_refunded(work: Work, invoices: Collection[Invoice]) -> ledger.Worth:
    """Read what was refunded of all grants that invoices have paid for, those that were made of others among them."""
    paid = await contracts.list_paid_by(work, [invoice.id for invoice in invoices])
    return await ledger.read_refunded(work, paid)


async def find_left(work: Work, invoice: Invoice) -> ledger.Worth:
    """Find what of an advance neither credit notes nor refunds have given back, without tax, and the tax on that."""
    refunded = await read_refunded(work, [invoice])
    taxes = select(func.coalesce(func.sum(CreditNote.tax_micros), 0)).where(CreditNote.invoice_id == invoice.id)
    credited_tax = Money(int(await work.session.scalar(taxes) or 0))
    credited = Money(invoice.credited_micros) - credited_tax
    return ledger.Worth(
        max(Money.zero(), invoice.net - credited - refunded.net),
        max(Money.zero(), invoice.tax - credited_tax - refunded.tax),
    )
