"""Refunds that go back by Stripe: shared among payments, sent by the relay, told when arrived."""

from collections.abc import Sequence

import stripe
from sqlalchemy import select

from broker import errors
from broker.payments.model import RefundStatus
from broker.payments.refunds import confirm_refund, fail_refund, get_refund, mark_sent
from broker.payments.stripe.bodies import make_refund
from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.model import StepKind, StepState
from broker.payments.stripe.refund_parts import Refundable, share_refund
from broker.payments.stripe.steps import LIVE, NewStep, find_step, write_step
from broker.payments.stripe.tables import StripePayment, StripeStep
from broker.payments.tables import Refund
from broker.payments.webhooks.receiving import STRIPE, Event, keep_event
from broker.system import System
from broker.work import Work
from pricing.money import MICROS_PER_FEN, Money

ARRIVED, CAME_BACK = "succeeded", frozenset({"failed", "canceled"})


class StripeRefunds:
    """The port of payment for what goes back by Stripe."""

    async def send_refund(self, work: Work, refund: Refund) -> None:
        """Write the steps by which a refund goes back to the customer's payments, the latest first.

        Raises: InvalidRequest, where less was paid by Stripe and is left of it.
        """
        payments_there = await _list_refundable(work, refund)
        parts = share_refund(refund.amount_micros // MICROS_PER_FEN, payments_there)
        if parts is None or refund.customer_id is None:
            left = Money(sum(each.left_fen for each in payments_there) * MICROS_PER_FEN)
            raise errors.invalid_field("amount", f"is more than came by Stripe and is left of it: {left}")
        for place, part in enumerate(parts, start=1):
            body = make_refund(f"{refund.id}:{place}", part.payment_intent, part.fen)
            new = NewStep(StepKind.REFUND, refund.id, refund.customer_id, body, part=str(place))
            await write_step(work, new)


async def _list_refundable(work: Work, refund: Refund) -> list[Refundable]:
    """List what can go back of the payments that a refund is of: the one that it names, or all of its customer."""
    query = select(StripePayment).where(StripePayment.customer_id == refund.customer_id)
    if refund.payment_id is not None:
        query = query.where(StripePayment.payment_id == refund.payment_id)
    back = await _add_up_back(work, refund.customer_id)
    found = (await work.session.scalars(query.order_by(StripePayment.created_at.desc(), StripePayment.id.desc()))).all()
    return [
        Refundable(each.payment_intent, each.amount_micros // MICROS_PER_FEN - back.get(each.payment_intent, 0))
        for each in found
    ]


async def _add_up_back(work: Work, customer_id: str | None) -> dict[str, int]:
    """Add up what was sent back of each payment. Units: fen."""
    steps = select(StripeStep).where(
        StripeStep.customer_id == customer_id,
        StripeStep.kind == StepKind.REFUND.value,
        StripeStep.state.in_([StepState.WAITING.value, StepState.DONE.value]),
    )
    back: dict[str, int] = {}
    for step in (await work.session.scalars(steps)).all():
        body = step.params["body"]
        back[body["payment_intent"]] = back.get(body["payment_intent"], 0) + body["amount"]
    return back


async def note_sent(work: Work, step: StripeStep) -> None:
    """Note that a part of a refund was sent; with the last one all of it was. Then Stripe is asked about it."""
    parts = await _list_parts(work, step.object_id)
    if all(part.state == StepState.DONE for part in parts):
        reference = ", ".join(str(part.stripe_id) for part in parts)
        await mark_sent(work, step.object_id, reference)
    event = Event(STRIPE, f"sent:{step.stripe_id}", "refund.sent", step.stripe_id, work.now)
    await keep_event(work, event)


async def note_refused(work: Work, step: StripeStep) -> None:
    """Note that Stripe refused a part of a refund: the refund failed, and names what of it was sent all the same."""
    refund = await get_refund(work, step.object_id)
    if refund.status in {RefundStatus.CONFIRMED, RefundStatus.FAILED}:
        return
    sent = [part for part in await _list_parts(work, step.object_id) if part.state == StepState.DONE]
    told = "".join(f"; {part.params['body']['amount']} fen were sent as {part.stripe_id}" for part in sent)
    await fail_refund(work, step.object_id, f"Stripe refused it: {step.last_error}{told}"[:1000])


async def _list_parts(work: Work, refund_id: str) -> Sequence[StripeStep]:
    query = select(StripeStep).where(StripeStep.object_id == refund_id, StripeStep.state.in_(LIVE))
    return (await work.session.scalars(query.order_by(StripeStep.id))).all()


async def look_at_refund(system: System, access: StripeAccess, stripe_id: str) -> None:
    """Look what became of a refund: arrived with the last of its parts, or come back. Raises: stripe.StripeError."""
    async with system.work() as work:
        step = await find_step(work, StepKind.REFUND, stripe_id)
        if step is None:
            return
        parts = [part.stripe_id for part in await _list_parts(work, step.object_id)]
    if None in parts:
        return
    found = await access.ask(lambda client: _fetch(client, [str(part) for part in parts]))
    async with system.work() as work:
        await _note_outcome(work, step.object_id, found)


def _fetch(client: stripe.StripeClient, stripe_ids: Sequence[str]) -> list[stripe.Refund]:
    return [client.v1.refunds.retrieve(each) for each in stripe_ids]


async def _note_outcome(work: Work, refund_id: str, found: Sequence[stripe.Refund]) -> None:
    refund = await get_refund(work, refund_id)
    if refund.status != RefundStatus.SENT:
        return
    failed = [each for each in found if each.status in CAME_BACK]
    if failed:
        told = ", ".join(f"{each.id} {each.status}: {each.failure_reason or 'no reason'}" for each in failed)
        await fail_refund(work, refund_id, told[:1000])
    elif all(each.status == ARRIVED for each in found):
        await confirm_refund(work, refund_id)
