"""An invoice as Stripe has it now, with what was paid of it: fetched whole, whatever told us to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import stripe

from broker.payments.model import PaymentSource, Receipt
from broker.payments.receiving import record_receipts
from broker.payments.stripe.bodies import CURRENCY
from broker.payments.stripe.calls import fetch_invoice, list_payments
from broker.payments.stripe.invoices import note_invoice
from broker.payments.stripe.tables import StripeInvoice, StripePayment
from broker.work import Work
from pricing.money import MICROS_PER_FEN, Money

# A payment that somebody recorded at Stripe by hand is none of Stripe's: our books hear of it from the bank.
BY_STRIPE = frozenset({"payment_intent", "charge"})


@dataclass(frozen=True)
class Fetched:
    """An invoice and its payments, as Stripe has them."""

    invoice: stripe.Invoice
    payments: Sequence[stripe.InvoicePayment]


class ForeignCurrency(Exception):
    """A payment at Stripe is of another currency than our books."""


class NotBooked(Exception):
    """A payment at Stripe was refused by our books."""


def fetch_whole(client: stripe.StripeClient, stripe_id: str) -> Fetched:
    """Fetch an invoice and what was paid of it. Raises: stripe.StripeError."""
    invoice = fetch_invoice(client, stripe_id)
    was_paid = invoice.status == "paid" or bool(invoice.amount_paid)
    return Fetched(invoice, list_payments(client, stripe_id) if was_paid else [])


async def note_fetched(work: Work, row: StripeInvoice, fetched: Fetched) -> None:
    """Note what Stripe has of an invoice, and book what was paid of it; the caller holds the row's lock.

    What is paid is booked first: contracts are locked before invoices.
    """
    for payment in fetched.payments:
        if payment.payment.type in BY_STRIPE:
            await take_payment(work, row, payment)
    await note_invoice(work, row, fetched.invoice)


async def take_payment(work: Work, row: StripeInvoice, payment: stripe.InvoicePayment) -> None:
    """Book a payment of an invoice once, by Stripe's id; what pays nothing that is due is the customer's credit.

    Raises: ForeignCurrency, NotBooked.
    """
    if not payment.amount_paid or await work.session.get(StripePayment, payment.id) is not None:
        return
    if payment.currency != CURRENCY:
        raise ForeignCurrency(f"payment {payment.id} is in {payment.currency}, our books are in {CURRENCY}")
    amount = Money(payment.amount_paid * MICROS_PER_FEN)
    paid_at = datetime.fromtimestamp(payment.status_transitions.paid_at or payment.created, UTC)
    receipt = Receipt(
        source=PaymentSource.STRIPE,
        account=work.settings.stripe_account_id or "",
        serial=payment.id,
        amount=amount,
        value_on=paid_at.astimezone(ZoneInfo(work.settings.time_zone)).date(),
        invoice_ids=(row.invoice_id,),
    )
    (received,) = await record_receipts(work, [receipt])
    if received.payment is None:
        raise NotBooked(f"payment {payment.id}: {received.field} {received.reason}")
    work.session.add(
        StripePayment(
            id=payment.id,
            customer_id=row.customer_id,
            invoice_id=row.invoice_id,
            payment_id=received.payment.id,
            payment_intent=str(payment.payment.payment_intent or payment.payment.charge or ""),
            amount_micros=amount.micros,
            created_at=work.now,
        )
    )
    await work.session.flush()
