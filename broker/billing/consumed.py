"""What a customer has consumed, as its final invoices say it: what fapiao can be asked for."""

from sqlalchemy import select

from broker.billing.given_back import read_refunded
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.tables import Invoice
from broker.work import Work
from pricing.money import Money


async def read_consumed(work: Work, customer_id: str) -> Money:
    """Read what final invoices ask for, with tax, less what was credited; of hours in advance what was paid, and kept.

    A month that gives back more than it bills counts below zero.
    """
    final = (InvoiceStatus.OPEN, InvoiceStatus.PAID, InvoiceStatus.WRITTEN_OFF)
    query = select(Invoice).where(Invoice.customer_id == customer_id, Invoice.status.in_(final))
    invoices = (await work.session.scalars(query)).all()
    return sum([await _count(work, invoice) for invoice in invoices], Money.zero())


async def _count(work: Work, invoice: Invoice) -> Money:
    if invoice.kind == InvoiceKind.USAGE:
        return invoice.total - Money(invoice.credited_micros)
    if invoice.status != InvoiceStatus.PAID:
        return Money.zero()
    refunded = await read_refunded(work, invoice)
    return invoice.total - Money(invoice.credited_micros) - refunded.net - refunded.tax
