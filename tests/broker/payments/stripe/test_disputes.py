"""Chargebacks that Stripe tells of are disputes in our books, opened and ended once."""

from typing import Any

import pytest

from broker.payments.stripe.relay import StripeRelay
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.payments.stripe.collecting import Collected, find_invoice, make_order, run_down, send_events
from tests.broker.payments.stripe.fake.server import FakeStripe
from tests.broker.running_jobs import broken_rules


@pytest.fixture
async def paid(api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock) -> Collected:
    order = await make_order(api)
    await run_down(relay)
    stripe.account.pay(find_invoice(stripe, order)["id"])
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    return order


def charge_back(stripe: FakeStripe, **fields: Any) -> Any:
    (payment,) = stripe.account.payments.values()
    return stripe.account.dispute(payment["payment"]["payment_intent"], 260_000, **fields)


async def list_disputes(api: Api) -> list[Any]:
    return list((await api.get("/disputes"))["data"])


@pytest.mark.parametrize("end", ["won", "lost"])
async def test_chargeback_is_opened_once_and_ends_as_at_stripe(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid: Collected, end: str
) -> None:
    made = charge_back(stripe)
    stripe.account.events *= 2
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    (dispute,) = await list_disputes(api)
    assert (dispute["status"], dispute["case_number"], dispute["amount"]["amount"]) == ("opened", made["id"], "2600.00")
    stripe.account.end_dispute(made["id"], end)
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    (dispute,) = await list_disputes(api)
    assert dispute["status"] == end
    assert await broken_rules(system) == {}
    assert paid.invoice_id == dispute["invoice_id"]


async def test_end_that_comes_before_the_beginning_is_both(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid: Collected
) -> None:
    made = charge_back(stripe)
    stripe.account.end_dispute(made["id"], "lost")
    stripe.account.events.reverse()
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    (dispute,) = await list_disputes(api)
    assert (dispute["status"], dispute["invoice_id"]) == ("lost", paid.invoice_id)
    assert await broken_rules(system) == {}


async def test_inquiry_and_another_shops_dispute_open_none(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, paid: Collected
) -> None:
    charge_back(stripe, status="warning_needs_response")
    stripe.account.dispute("pi_of_another_shop", 100)
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    assert await list_disputes(api) == []
    assert paid.invoice_id
