"""Payments as they are listed and shown."""

from sqlalchemy import Select, select

from broker import errors
from broker.payments.model import PaymentStatus
from broker.payments.tables import Payment
from broker.persistence.database import narrow
from broker.work import Work


def select_payments(*, status: PaymentStatus | None = None, **wanted: str | None) -> Select[Payment]:
    """Select the payments that the actor sees, all or those with these values in their columns."""
    query = narrow(select(Payment), **wanted)
    if status is None:
        return query
    placed = Payment.allocated_micros + Payment.returned_micros
    return query.where(
        {
            PaymentStatus.UNMATCHED: placed == 0,
            PaymentStatus.PARTLY_MATCHED: (placed > 0) & (placed < Payment.amount_micros),
            PaymentStatus.MATCHED: (placed == Payment.amount_micros)
            & (Payment.returned_micros < Payment.amount_micros),
            PaymentStatus.RETURNED: Payment.returned_micros == Payment.amount_micros,
        }[status]
    )


def select_unmatched(**wanted: str | None) -> Select[Payment]:
    """Select the payments of which something has found no place yet."""
    return narrow(select(Payment), **wanted).where(
        Payment.allocated_micros + Payment.returned_micros < Payment.amount_micros
    )


async def get_payment(work: Work, payment_id: str) -> Payment:
    """Get a payment. Raises: NotFound."""
    row = await work.session.get(Payment, payment_id)
    if row is None:
        raise errors.NotFound("payment", payment_id)
    return row
