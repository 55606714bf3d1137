"""What a list of invoices comes to, however long it is: in one statement, beside its pages."""

from dataclasses import dataclass

from sqlalchemy import Select, func, select

from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice, InvoiceLine
from broker.work import Work
from pricing.money import Money

__all__ = ["Invoice", "InvoiceLine", "InvoiceSums", "sum_invoices"]


@dataclass(frozen=True)
class InvoiceSums:
    """How many invoices there are, what they ask for, and what of that is due."""

    count: int
    total: Money
    due: Money


async def sum_invoices(work: Work, query: Select[Invoice]) -> InvoiceSums:
    """Sum up all invoices that a query selects; a void one asks for nothing, and nothing is due of a draft."""
    own = query.subquery()
    settled = own.c.credited_micros + own.c.written_off_micros + own.c.paid_micros
    asks, is_due = (
        own.c.status != InvoiceStatus.VOID.value,
        own.c.status.not_in([InvoiceStatus.VOID.value, InvoiceStatus.DRAFT.value]),
    )
    sums = select(
        func.count(),
        func.coalesce(func.sum(own.c.total_micros).filter(asks), 0),
        func.coalesce(func.sum(func.greatest(0, own.c.total_micros - settled)).filter(is_due), 0),
    ).select_from(own)
    count, total, due = (await work.session.execute(sums)).one()
    return InvoiceSums(count, Money(int(total)), Money(int(due)))
