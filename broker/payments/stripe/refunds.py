"""Refunds that go back by Stripe: shared among payments, sent by the relay, told when arrived."""

from collections.abc import Mapping, Sequence

import stripe
from sqlalchemy import select

from broker import errors
from broker.payments.model import RefundStatus
from broker.payments.receiving import take_payments_turn
from broker.payments.refunds import confirm_refund, fail_refund, get_refund, lower_refund, mark_sent
from broker.payments.stripe.bodies import make_refund
from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.model import StepKind, StepState
from broker.payments.stripe.refund_parts import Refundable, share_refund
from broker.payments.stripe.steps import LIVE, NewStep, end_step, find_step, write_step
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


async def note_part(work: Work, step: StripeStep) -> None:
    """Note that a part of a refund was sent, or refused; with the last one, the refund is of what was sent.

    Where one is refused, those that were never sent are dropped. Of what was sent, Stripe is asked what became of it.
    """
    await take_payments_turn(work)
    if step.state == StepState.REFUSED:
        await _drop_unsent(work, step.object_id)
    else:
        await keep_event(work, Event(STRIPE, f"sent:{step.stripe_id}", "refund.sent", step.stripe_id, work.now))
    parts = await _list_parts(work, step.object_id)
    if any(part.state == StepState.WAITING for part in parts):
        return
    told = "; ".join(f"Stripe refused it: {part.last_error}" for part in parts if part.state == StepState.REFUSED)
    sent = [part for part in parts if part.state == StepState.DONE]
    if await _hold_to_sent(work, step.object_id, sent, told):
        await mark_sent(work, step.object_id, ", ".join(str(part.stripe_id) for part in sent))


async def _drop_unsent(work: Work, refund_id: str) -> None:
    query = select(StripeStep).where(
        StripeStep.object_id == refund_id, StripeStep.state == StepState.WAITING.value, StripeStep.key_sent_at.is_(None)
    )
    for part in (await work.session.scalars(query.with_for_update().execution_options(populate_existing=True))).all():
        if not part.must_search:
            end_step(work, part, StepState.DROPPED)
    await work.session.flush()


async def _hold_to_sent(work: Work, refund_id: str, sent: Sequence[StripeStep], told: str) -> bool:
    """Hold a refund to those of its parts that were sent and did not come back; tells whether there are any."""
    refund = await get_refund(work, refund_id)
    amount = Money(sum(part.params["body"]["amount"] for part in sent) * MICROS_PER_FEN)
    if not amount.micros:
        await fail_refund(work, refund_id, told[:1000])
    elif amount < refund.amount:
        await lower_refund(work, refund_id, amount, told[:1000])
    return bool(amount.micros)


async def _list_parts(work: Work, refund_id: str) -> Sequence[StripeStep]:
    query = select(StripeStep).where(StripeStep.object_id == refund_id, StripeStep.state.in_(LIVE))
    query = query.order_by(StripeStep.id).execution_options(populate_existing=True)
    return (await work.session.scalars(query)).all()


async def look_at_refund(system: System, access: StripeAccess, stripe_id: str) -> None:
    """Look what became of a refund: arrived with the last of its parts, or come back. Raises: stripe.StripeError."""
    async with system.work() as work:
        step = await find_step(work, StepKind.REFUND, stripe_id)
        parts = [] if step is None else await _list_parts(work, step.object_id)
        if step is None or any(part.state == StepState.WAITING for part in parts):
            return
        refund_id, sent = step.object_id, [str(part.stripe_id) for part in parts if part.state == StepState.DONE]
    found = await access.ask(lambda client: _fetch(client, sent))
    async with system.work() as work:
        await _note_outcome(work, refund_id, {each.id: each for each in found})


def _fetch(client: stripe.StripeClient, stripe_ids: Sequence[str]) -> list[stripe.Refund]:
    return [client.v1.refunds.retrieve(each) for each in stripe_ids]


async def _note_outcome(work: Work, refund_id: str, found: Mapping[str, stripe.Refund]) -> None:
    """Note what became of a refund; what has come back can go back again."""
    await take_payments_turn(work)
    refund = await get_refund(work, refund_id)
    sent = [part for part in await _list_parts(work, refund_id) if part.state == StepState.DONE]
    if refund.status not in {RefundStatus.SENT, RefundStatus.CONFIRMED} or {part.stripe_id for part in sent} != {
        *found
    }:
        return
    failed = [part for part in sent if found[str(part.stripe_id)].status in CAME_BACK]
    for part in failed:
        end_step(work, part, StepState.REFUSED, stripe_id=part.stripe_id)
    left = [part for part in sent if part not in failed]
    backs = [found[str(part.stripe_id)] for part in failed]
    told = ", ".join(f"{each.id} {each.status}: {each.failure_reason or 'no reason'}" for each in backs)
    is_left = await _hold_to_sent(work, refund_id, left, told)
    has_arrived = all(found[str(part.stripe_id)].status == ARRIVED for part in left)
    if is_left and has_arrived and refund.status == RefundStatus.SENT:
        await confirm_refund(work, refund_id)
