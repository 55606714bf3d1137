"""The reconciliation: all that Stripe has is read and compared with our books, and every difference kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import stripe
from sqlalchemy import delete, func, select

from broker.billing import payable
from broker.payments.stripe.calls import read_our_id
from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.comparing import Difference, DifferenceKind, Ours, Theirs, compare_invoices
from broker.payments.stripe.model import StepKind, StepState, StripeStatus
from broker.payments.stripe.tables import StripeCustomer, StripeDifference, StripeInvoice, StripePayment, StripeStep
from broker.payments.webhooks.receiving import STRIPE, Event, keep_event, list_stuck
from broker.persistence.marks import note_mark, read_marks
from broker.work import Work
from pricing.money import MICROS_PER_FEN

PAGE = 100
# Invoices that were made earlier, and are not open any more, are not compared again.
WINDOW = timedelta(days=100)
RECONCILED = "stripe_reconciled"
OLD = timedelta(hours=1)
HEALED_BY_LOOKING = frozenset({DifferenceKind.REMAINING, DifferenceKind.PAID, DifferenceKind.STATUS})
STILL_OPEN = (StripeStatus.DRAFT, StripeStatus.OPEN)


@dataclass(frozen=True)
class AtStripe:
    """All that Stripe has which our books must know of."""

    invoices: Sequence[Theirs]
    balances: Sequence[stripe.Customer]
    refunds: Sequence[stripe.Refund]


async def read_stripe(access: StripeAccess, *, now: datetime) -> AtStripe:
    """Read all that is compared from Stripe. Raises: stripe.StripeError."""
    since = int((now - WINDOW).timestamp())
    return await access.ask(lambda client: _read(client, since))


def _read(client: stripe.StripeClient, since: int) -> AtStripe:
    found = {
        each.id: each for each in client.v1.invoices.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter()
    }
    for status in ("draft", "open"):
        still_open = client.v1.invoices.list({"status": status, "limit": PAGE})
        found |= {each.id: each for each in still_open.auto_paging_iter()}
    customers = client.v1.customers.list({"limit": PAGE}).auto_paging_iter()
    refunds = client.v1.refunds.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter()
    return AtStripe(
        [_to_theirs(each) for each in found.values()], [each for each in customers if each.balance], list(refunds)
    )


def _to_theirs(found: stripe.Invoice) -> Theirs:
    return Theirs(
        stripe_id=found.id,
        our_id=read_our_id(found.metadata),
        status=StripeStatus(found.status or StripeStatus.DRAFT),
        total_fen=found.total,
        remaining_fen=found.amount_remaining,
        paid_fen=found.amount_paid + found.amount_overpaid,
    )


async def reconcile(work: Work, there: AtStripe) -> list[StripeDifference]:
    """Compare our books with what was read, keep every difference in place of the last ones, and look at some again."""
    found = [
        *compare_invoices(await _list_ours(work, there.invoices), there.invoices),
        *await _find_balances(work, there.balances),
        *await _find_refunds(work, there.refunds),
        *await _find_old_events(work),
        *await _find_waiting(work),
    ]
    await work.session.execute(delete(StripeDifference))
    rows = [_to_row(each, work.now) for each in found]
    work.session.add_all(rows)
    await work.session.flush()
    await note_mark(work.session, RECONCILED, by=work.actor.id, now=work.now, value=len(rows))
    for each in found:
        if each.kind in HEALED_BY_LOOKING and each.stripe_id is not None:
            await _look_again(work, each.stripe_id)
    return rows


async def _list_ours(work: Work, there: Iterable[Theirs]) -> list[Ours]:
    """List what we have sent: all that Stripe has told of, and all that is not over here."""
    told = {each.stripe_id for each in there}
    due = payable.select_due().subquery()
    query = (
        select(StripeInvoice, due.c.due_micros)
        .join(due, due.c.id == StripeInvoice.invoice_id)
        .where(
            StripeInvoice.stripe_id.in_(told)
            | StripeInvoice.status.in_([status.value for status in STILL_OPEN])
            | StripeInvoice.problem.is_not(None)
            | (StripeInvoice.created_at >= work.now - WINDOW)
        )
    )
    rows = [(row, due_micros) for row, due_micros in await work.session.execute(query)]
    paid, outside = await _add_up_payments(work), await _list_settled_outside(work)
    return [
        Ours(
            invoice_id=row.invoice_id,
            stripe_id=row.stripe_id,
            status=StripeStatus(row.status),
            asked_fen=row.asked_fen,
            due_fen=due_micros // MICROS_PER_FEN,
            paid_fen=paid.get(row.invoice_id, 0) // MICROS_PER_FEN,
            settled_outside=row.invoice_id in outside,
            problem=row.problem,
        )
        for row, due_micros in rows
    ]


async def _add_up_payments(work: Work) -> dict[str, int]:
    sums = func.sum(StripePayment.amount_micros)
    found = await work.session.execute(select(StripePayment.invoice_id, sums).group_by(StripePayment.invoice_id))
    return {invoice_id: int(micros) for invoice_id, micros in found}


async def _list_settled_outside(work: Work) -> set[str]:
    query = select(StripeStep.object_id).where(
        StripeStep.kind == StepKind.SETTLE.value, StripeStep.state == StepState.DONE.value
    )
    return set((await work.session.scalars(query)).all())


async def _find_balances(work: Work, customers: Iterable[stripe.Customer]) -> list[Difference]:
    known = set((await work.session.scalars(select(StripeCustomer.stripe_id))).all())
    return [
        Difference(DifferenceKind.BALANCE, None, each.id, "0", str(each.balance))
        for each in customers
        if each.id in known
    ]


async def _find_refunds(work: Work, refunds: Iterable[stripe.Refund]) -> list[Difference]:
    ours = select(StripeStep.stripe_id).where(StripeStep.kind == StepKind.REFUND.value)
    known = set((await work.session.scalars(ours)).all())
    return [
        Difference(DifferenceKind.REFUND, None, each.id, "nothing", str(each.amount))
        for each in refunds
        if each.id not in known and each.status not in {"failed", "canceled"} and read_our_id(each.metadata) is None
    ]


async def _find_old_events(work: Work) -> list[Difference]:
    stuck = await list_stuck(work, STRIPE, before=work.now - OLD)
    return [
        Difference(DifferenceKind.EVENT, None, each.event_id, each.last_error or "not handled", each.type)
        for each in stuck
    ]


async def _find_waiting(work: Work) -> list[Difference]:
    """Find the steps to which Stripe has given no good answer for long."""
    query = select(StripeStep).where(
        StripeStep.state == StepState.WAITING.value, StripeStep.failures > 0, StripeStep.created_at < work.now - OLD
    )
    steps = (await work.session.scalars(query.order_by(StripeStep.id).limit(100))).all()
    return [
        Difference(
            DifferenceKind.WAITING, each.invoice_id, None, f"{each.step} of {each.object_id}", str(each.last_error)
        )
        for each in steps
    ]


def _to_row(each: Difference, now: datetime) -> StripeDifference:
    return StripeDifference(
        kind=each.kind.value,
        invoice_id=each.invoice_id,
        stripe_id=each.stripe_id,
        ours=each.ours,
        theirs=each.theirs,
        cure=each.cure,
        found_at=now,
    )


async def _look_again(work: Work, stripe_id: str) -> None:
    """Have an invoice fetched as if Stripe had sent an event of it: perhaps one was lost."""
    event_id = f"reconciled:{stripe_id}:{work.now.isoformat()}"
    await keep_event(work, Event(STRIPE, event_id, "invoice.reconciled", stripe_id, work.now))


async def list_differences(work: Work) -> list[StripeDifference]:
    """List the differences that the last reconciliation found."""
    return list((await work.session.scalars(select(StripeDifference).order_by(StripeDifference.id))).all())


async def find_reconciled_at(work: Work) -> datetime | None:
    """Find when our books and Stripe were last compared."""
    mark = (await read_marks(work.session)).get(RECONCILED)
    return None if mark is None else mark.noted_at
