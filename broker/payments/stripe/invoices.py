"""Invoices that Stripe collects: which are to be sent, which looked at again, and what Stripe says of them."""

import stripe
from sqlalchemy import Select, or_, select
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.billing import credit_notes, payable
from broker.billing import service as billing
from broker.billing.model import InvoiceStatus
from broker.payments.stripe.model import StepKind, StripeStatus
from broker.payments.stripe.tables import StripeCustomer, StripeInvoice, StripeStep
from broker.persistence.database import narrow
from broker.work import Work
from pricing.money import MICROS_PER_FEN

AT_STRIPE = (StripeStatus.DRAFT.value, StripeStatus.OPEN.value)


async def list_to_send(work: Work) -> list[str]:
    """List the invoices that Stripe is to collect and that it was not asked for yet, partly paid ones, too."""
    query = billing.select_invoices()
    columns = query.selected_columns
    collecting = select(StripeCustomer.customer_id).where(StripeCustomer.collects)
    known = select(StripeInvoice.invoice_id)
    is_open = columns.status == InvoiceStatus.OPEN.value
    new = query.where(is_open, columns.customer_id.in_(collecting), columns.id.not_in(known)).order_by(columns.id)
    return [invoice.id for invoice in (await work.session.scalars(new)).all() if invoice.due.micros > 0]


async def begin_collection(work: Work, invoice_id: str) -> None:
    """Begin to collect an invoice by Stripe; twice is once."""
    invoice = await billing.get_invoice(work, invoice_id)
    row = {
        "invoice_id": invoice.id,
        "customer_id": invoice.customer_id,
        "status": StripeStatus.NONE.value,
        "has_lines": False,
        "is_summary": False,
        "asked_fen": 0,
        "credited_fen": 0,
        "remaining_fen": 0,
        "settled": False,
        "created_at": work.now,
        "changed_at": work.now,
    }
    await work.session.execute(insert(StripeInvoice).values(row).on_conflict_do_nothing())


async def list_to_plan(work: Work) -> list[str]:
    """List the invoices at Stripe for which something may have to be done: our books or Stripe have changed since."""
    due = payable.select_due().subquery()
    noted = credit_notes.select_credit_notes().subquery()
    sent = select(StripeStep.object_id).where(StripeStep.kind == StepKind.CREDIT_NOTE.value)
    query = (
        select(StripeInvoice.invoice_id)
        .join(due, due.c.id == StripeInvoice.invoice_id)
        .where(
            StripeInvoice.problem.is_(None),
            or_(
                ~StripeInvoice.settled,
                (StripeInvoice.status == StripeStatus.DELETED.value) & (due.c.due_micros > 0),
                StripeInvoice.status.in_(AT_STRIPE) & (StripeInvoice.remaining_fen * MICROS_PER_FEN > due.c.due_micros),
                StripeInvoice.status.in_([StripeStatus.OPEN.value, StripeStatus.PAID.value])
                & select(noted.c.id)
                .where(noted.c.invoice_id == StripeInvoice.invoice_id, noted.c.id.not_in(sent))
                .exists(),
            ),
        )
        .order_by(StripeInvoice.invoice_id)
    )
    return list((await work.session.scalars(query)).all())


async def list_unsent(work: Work, customer_id: str) -> list[str]:
    """List the invoices of a customer that wait for Stripe to know it."""
    query = select(StripeInvoice.invoice_id).where(
        StripeInvoice.customer_id == customer_id,
        StripeInvoice.status == StripeStatus.NONE.value,
        ~StripeInvoice.settled,
    )
    return list((await work.session.scalars(query.order_by(StripeInvoice.invoice_id))).all())


async def lock_row(work: Work, invoice_id: str) -> StripeInvoice:
    """Lock an invoice as Stripe has it. Raises: NotFound."""
    row = await work.session.get(StripeInvoice, invoice_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise errors.NotFound("invoice at Stripe", invoice_id)
    return row


async def note_invoice(work: Work, row: StripeInvoice, found: stripe.Invoice) -> None:
    """Note what Stripe says of an invoice; the caller holds the row's lock. What is open there is looked at again."""
    row.stripe_id = found.id
    row.status = StripeStatus(found.status or StripeStatus.DRAFT).value
    row.remaining_fen = found.amount_remaining
    row.credited_fen = (found.pre_payment_credit_notes_amount or 0) + (found.post_payment_credit_notes_amount or 0)
    row.hosted_url = found.hosted_invoice_url
    row.changed_at, row.settled = work.now, False
    link = row.hosted_url if row.status == StripeStatus.OPEN else None
    await payable.show_payment_link(work, row.invoice_id, link)


async def note_deleted(work: Work, row: StripeInvoice) -> None:
    """Note that the draft of an invoice is gone."""
    row.status, row.remaining_fen = StripeStatus.DELETED.value, 0
    row.changed_at, row.settled = work.now, False


def begin_anew(row: StripeInvoice) -> None:
    """Begin anew with an invoice whose draft was deleted and that is owed again: a transfer was taken back."""
    row.status, row.stripe_id = StripeStatus.NONE.value, None
    row.has_lines, row.asked_fen, row.credited_fen = False, 0, 0


async def find_by_stripe_id(work: Work, stripe_id: str) -> StripeInvoice | None:
    query = select(StripeInvoice).where(StripeInvoice.stripe_id == stripe_id)
    return (await work.session.scalars(query)).one_or_none()


def select_stripe_invoices(**wanted: str | None) -> Select[StripeInvoice]:
    """Select the invoices at Stripe that the actor sees, all or those with these values in their columns."""
    return narrow(select(StripeInvoice), **wanted)


async def get_stripe_invoice(work: Work, invoice_id: str) -> StripeInvoice:
    """Get an invoice as Stripe has it. Raises: NotFound."""
    row = await work.session.get(StripeInvoice, invoice_id)
    if row is None:
        raise errors.NotFound("invoice at Stripe", invoice_id)
    return row
