"""What is done about receipts that found no place: what they would fit, by name and by amount; and what lies unmatched.

A suggestion is no match: finance claims it. Those come first that the importing named, then invoices of which exactly
this is due, of customers under whose name or account money came before, or of anybody.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, or_, select

from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.identity.tables import Customer
from broker.payments.tables import Payment
from broker.work import Work
from pricing.money import Money

SUGGESTED = 5
DUE: ColumnElement[int] = (
    Invoice.total_micros - Invoice.credited_micros - Invoice.written_off_micros - Invoice.paid_micros
)


@dataclass(frozen=True)
class Suggestion:
    """An invoice that a receipt may be for; `exact`: just so much is due, `known`: its customer was paid for before."""

    invoice_id: str
    number: str
    customer_id: str
    customer: str
    due: Money
    exact: bool
    known: bool


@dataclass(frozen=True)
class ReceiptSums:
    """How many receipts have something unmatched, and how much that is."""

    count: int
    unmatched: Money


async def sum_unmatched(work: Work) -> ReceiptSums:
    """Sum up what of receipts has found no place."""
    left = Payment.amount_micros - Payment.allocated_micros - Payment.returned_micros
    query = select(func.count(), func.coalesce(func.sum(left), 0)).where(left > 0)
    count, micros = (await work.session.execute(query)).one()
    return ReceiptSums(count, Money(int(micros)))


async def list_suggestions(work: Work, payment: Payment) -> list[Suggestion]:
    """List what a receipt may be for, the likeliest first, in two statements."""
    known = {each for each in await work.session.scalars(_select_payers(payment)) if each is not None}
    open_amount = payment.open_amount
    named, exact = Invoice.id.in_(payment.candidates), DUE.in_([open_amount.micros])
    likely = or_(named, exact, Invoice.customer_id.in_(known))
    query = (
        select(Invoice, Customer.name)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(Invoice.status == InvoiceStatus.OPEN.value, DUE > 0, likely)
        .order_by(named.desc(), exact.desc(), Invoice.customer_id.in_(known).desc())
        .order_by(Invoice.due_on, Invoice.number)
        .limit(SUGGESTED)
    )
    return [_suggest(row, name, open_amount, known) for row, name in await work.session.execute(query)]


def _select_payers(payment: Payment) -> Select[str | None]:
    """Select the customers for whom money came before from this account, or under this name."""
    same = [
        column == value
        for column, value in (
            (Payment.payer_account, payment.payer_account),
            (Payment.payer_name, payment.payer_name),
        )
        if value
    ]
    own = select(Payment.customer_id).where(Payment.customer_id.is_not(None), Payment.id != payment.id)
    return own.where(or_(*same) if same else Payment.id.is_(None)).distinct()


def _suggest(row: Invoice, name: str, open_amount: Money, known: Collection[str]) -> Suggestion:
    return Suggestion(
        invoice_id=row.id,
        number=row.number or row.id,
        customer_id=row.customer_id,
        customer=name,
        due=row.due,
        exact=row.due == open_amount,
        known=row.customer_id in known,
    )


async def name_invoices(work: Work, invoice_ids: Sequence[str]) -> dict[str, str]:
    """Read the numbers of invoices, by their ids."""
    query = select(Invoice.id, Invoice.number).where(Invoice.id.in_(invoice_ids))
    return {invoice_id: number or invoice_id for invoice_id, number in await work.session.execute(query)}
