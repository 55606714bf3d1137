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
    billed = [each for each in invoices if each.kind == InvoiceKind.USAGE]
    paid_ahead = [each for each in invoices if each.kind != InvoiceKind.USAGE and each.status == InvoiceStatus.PAID]
    asked = sum((each.total - Money(each.credited_micros) for each in [*billed, *paid_ahead]), Money.zero())
    refunded = await read_refunded(work, paid_ahead)
    return asked - refunded.net - refunded.tax
