"""Chargebacks that Stripe tells of: opened, answered and ended in our books as they are there."""

import stripe
from sqlalchemy import select

from broker.billing import disputes
from broker.payments.chargebacks import Chargeback, lose_dispute, open_chargeback
from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.tables import StripePayment
from broker.system import System
from broker.work import Work
from pricing.money import MICROS_PER_FEN, Money

DISPUTE = "charge.dispute."
# An inquiry moves no money; where it becomes a dispute, another event comes.
INQUIRIES = frozenset({"warning_needs_response", "warning_under_review"})
UNDER_REVIEW, WON, LOST, WITHDRAWN = "under_review", "won", "lost", "warning_closed"


async def look_at_dispute(system: System, access: StripeAccess, stripe_id: str) -> None:
    """Look how a dispute stands at Stripe, and have our books follow. Raises: stripe.StripeError, DomainError."""
    found = await access.ask(lambda client: client.v1.disputes.retrieve(stripe_id))
    if found.status in INQUIRIES:
        return
    async with system.work() as work:
        dispute = await _find_or_open(work, found)
        if dispute is not None and dispute.ended_at is None:
            await _follow(work, dispute, found.status)


async def _find_or_open(work: Work, found: stripe.Dispute) -> disputes.Dispute | None:
    """Find the dispute by Stripe's number, or open it; None where the payment is none of ours or nothing came."""
    known = (await work.session.scalars(disputes.select_disputes(case_number=found.id))).one_or_none()
    if known is not None or found.status == WITHDRAWN:
        return known
    charge = str(found.payment_intent or found.charge)
    payment = (
        await work.session.scalars(select(StripePayment).where(StripePayment.payment_intent == charge))
    ).one_or_none()
    if payment is None:
        return None
    amount = Money(found.amount * MICROS_PER_FEN)
    new = Chargeback(payment.payment_id, f"Stripe: {found.reason}", amount=amount, case_number=found.id)
    return await open_chargeback(work, new)


async def _follow(work: Work, dispute: disputes.Dispute, status: str) -> None:
    if status == UNDER_REVIEW and dispute.answered_at is None:
        await disputes.answer_dispute(work, dispute.id, "Evidence was sent at Stripe.")
    elif status == WON:
        await disputes.win_dispute(work, dispute.id)
    elif status == LOST:
        await lose_dispute(work, dispute.id)
    elif status == WITHDRAWN:
        await disputes.withdraw_dispute(work, dispute.id)
