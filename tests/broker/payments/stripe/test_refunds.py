"""Money that goes back by Stripe: to the payments that it came from, once, and told when it arrived."""

from typing import Any

import pytest
from sqlalchemy import select

from broker import errors
from broker.payments import refunds
from broker.payments.model import RefundMethod, RefundSource
from broker.payments.refunds import NewRefund
from broker.payments.stripe.relay import StripeRelay
from broker.payments.stripe.tables import StripeStep
from broker.payments.tables import Refund
from broker.system import System
from pricing.money import MICROS_PER_FEN, Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.payments.stripe.collecting import Collected, find_invoice, make_order, run_down, send_events
from tests.broker.payments.stripe.fake.server import FakeStripe, Fault
from tests.broker.running_jobs import broken_rules


@pytest.fixture
async def paid_twice(api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock) -> Collected:
    """Have an order paid twice by the hosted link: 2,600.00 of it are the customer's credit."""
    order = await make_order(api)
    await run_down(relay)
    for _ in range(2):
        stripe.account.pay(find_invoice(stripe, order)["id"])
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    return order


async def request(system: System, order: Collected, amount: str) -> str:
    new = NewRefund(
        order.contract["id"], RefundSource.CREDIT, RefundMethod.STRIPE, "Paid twice", amount=Money.from_decimal(amount)
    )
    async with system.work() as work:
        return (await refunds.request_refund(work, new)).id


async def read_refund(system: System, refund_id: str) -> Refund:
    async with system.work() as work:
        return await refunds.get_refund(work, refund_id)


@pytest.mark.parametrize("fault", [None, Fault.DONE_NO_ANSWER, Fault.DONE_BROKEN])
async def test_refund_is_sent_once_and_confirmed(
    system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected, fault: Any
) -> None:
    if fault is not None:
        stripe.fail("/v1/refunds", fault)
    refund_id = await request(system, paid_twice, "2000.00")
    await run_down(relay, clock)
    ((stripe_id, made),) = stripe.account.refunds.items()
    row = await read_refund(system, refund_id)
    assert (made["amount"], row.status, row.bank_reference) == (200_000, "confirmed", stripe_id)
    assert await broken_rules(system) == {}


async def test_refund_above_one_payment_goes_back_to_several(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected
) -> None:
    adjustment = {"kind": "credit", "contract_id": paid_twice.contract["id"], "amount": "400.00", "reason": "Sorry"}
    await api.post("/adjustments", adjustment, expect=201)
    refund_id = await request(system, paid_twice, "3000.00")
    await run_down(relay, clock)
    assert sorted(each["amount"] for each in stripe.account.refunds.values()) == [40_000, 260_000]
    assert (await read_refund(system, refund_id)).status == "confirmed"
    assert await broken_rules(system) == {}


async def test_refund_that_comes_back_has_failed_and_the_credit_is_there_again(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected
) -> None:
    stripe.account.refund_status = "pending"
    refund_id = await request(system, paid_twice, "2600.00")
    await run_down(relay, clock)
    assert (await read_refund(system, refund_id)).status == "sent"
    stripe.account.end_refund(next(iter(stripe.account.refunds)), "failed")
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    row = await read_refund(system, refund_id)
    assert (row.status, "declined" in str(row.failure)) == ("failed", True)
    assert await broken_rules(system) == {}


async def test_refund_that_stripe_refuses_has_failed(
    system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected
) -> None:
    for payment in list(stripe.account.payments.values()):
        intent = payment["payment"]["payment_intent"]
        stripe.account.create_refund({"payment_intent": intent, "amount": payment["amount_paid"]})  # by hand, there
    refund_id = await request(system, paid_twice, "2600.00")
    await run_down(relay, clock)
    row = await read_refund(system, refund_id)
    assert row.status == "failed"
    assert "charge_already_refunded" in str(row.failure)
    assert await broken_rules(system) == {}


async def test_more_than_came_by_stripe_is_refused_with_the_field(
    api: Api, system: System, stripe: FakeStripe, paid_twice: Collected
) -> None:
    adjustment = {"kind": "credit", "contract_id": paid_twice.contract["id"], "amount": "9000.00", "reason": "Sorry"}
    await api.post("/adjustments", adjustment, expect=201)
    with pytest.raises(errors.InvalidRequest) as raised:
        await request(system, paid_twice, "5200.01")
    assert raised.value.errors[0].field == "amount"
    assert "5200.00" in raised.value.errors[0].message
    assert stripe.account.refunds == {}


async def test_a_part_that_stripe_refuses_leaves_the_refund_of_what_was_sent(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected
) -> None:
    """Once all of it was a credit again, though some of it had left."""
    adjustment = {"kind": "credit", "contract_id": paid_twice.contract["id"], "amount": "400.00", "reason": "Sorry"}
    await api.post("/adjustments", adjustment, expect=201)
    refund_id = await request(system, paid_twice, "3000.00")
    async with system.work() as work:
        first, second = (await work.session.scalars(select(StripeStep).where(StripeStep.object_id == refund_id))).all()
    intent = second.params["body"]["payment_intent"]
    stripe.account.create_refund({"payment_intent": intent, "amount": 260_000})  # by hand, there
    await run_down(relay, clock)
    row = await read_refund(system, refund_id)
    sent = first.params["body"]["amount"]
    assert (row.status, row.amount.micros) == ("confirmed", sent * MICROS_PER_FEN)
    assert "charge_already_refunded" in str(row.failure)
    assert await broken_rules(system) == {}


async def test_a_first_part_that_stripe_refuses_keeps_the_others_from_being_sent(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected
) -> None:
    adjustment = {"kind": "credit", "contract_id": paid_twice.contract["id"], "amount": "400.00", "reason": "Sorry"}
    await api.post("/adjustments", adjustment, expect=201)
    refund_id = await request(system, paid_twice, "3000.00")
    async with system.work() as work:
        first, _second = (await work.session.scalars(select(StripeStep).where(StripeStep.object_id == refund_id))).all()
    stripe.account.create_refund({"payment_intent": first.params["body"]["payment_intent"], "amount": 260_000})
    await run_down(relay, clock)
    assert ((await read_refund(system, refund_id)).status, len(stripe.account.refunds)) == ("failed", 1)
    assert await broken_rules(system) == {}


async def test_a_refund_that_comes_back_after_it_arrived_can_be_sent_again(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid_twice: Collected
) -> None:
    refund_id = await request(system, paid_twice, "2600.00")
    await run_down(relay, clock)
    assert (await read_refund(system, refund_id)).status == "confirmed"
    stripe.account.end_refund(next(iter(stripe.account.refunds)), "failed")
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    assert (await read_refund(system, refund_id)).status == "failed"
    again = await request(system, paid_twice, "2600.00")
    await run_down(relay, clock)
    assert (await read_refund(system, again)).status == "confirmed"
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("verb", "body"), [("send", {"bank_reference": "B1"}), ("fail", {"reason": "x"})])
async def test_nobody_tells_by_hand_how_far_a_refund_by_stripe_is(
    api: Api, system: System, relay: StripeRelay, clock: ManualClock, paid_twice: Collected, verb: str, body: Any
) -> None:
    """Once the relay sent for ever what was told as sent, and what was told as failed went back all the same."""
    refund_id = await request(system, paid_twice, "2000.00")
    await api.post(f"/refunds/{refund_id}/{verb}", body, expect=409)
    await run_down(relay, clock)
    assert (await read_refund(system, refund_id)).status == "confirmed"
    assert await broken_rules(system) == {}
