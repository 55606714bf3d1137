"""What has been given back of an advance: by credit notes, and by refunds of the units that it paid for.

Together they never come to more than was paid.
"""

from sqlalchemy import func, select

from broker.billing.tables import CreditNote, Invoice
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


async def read_refunded(work: Work, invoice: Invoice) -> ledger.Worth:
    """Read what was refunded of all grants that an invoice has paid for, those that were made of others among them."""
    return await ledger.read_refunded(work, await contracts.list_paid_by(work, invoice.id))


async def find_left(work: Work, invoice: Invoice) -> ledger.Worth:
    """Find what of an advance neither credit notes nor refunds have given back, without tax, and the tax on that."""
    refunded = await read_refunded(work, invoice)
    taxes = select(func.coalesce(func.sum(CreditNote.tax_micros), 0)).where(CreditNote.invoice_id == invoice.id)
    credited_tax = Money(int(await work.session.scalar(taxes) or 0))
    credited = Money(invoice.credited_micros) - credited_tax
    return ledger.Worth(
        max(Money.zero(), invoice.net - credited - refunded.net),
        max(Money.zero(), invoice.tax - credited_tax - refunded.tax),
    )
