"""The endpoint for Stripe's events: no key opens it, a signature does; each event is kept once, and answered."""

from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from broker.app import create_app
from broker.payments.stripe.relay import StripeRelay
from broker.payments.webhooks.tables import ReceivedEvent
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.payments.stripe.collecting import send_event, sign
from tests.broker.payments.stripe.fake.account import ACCOUNT_ID
from tests.broker.payments.stripe.fake.server import WEBHOOK_SECRET, FakeStripe


def make_event(stripe: FakeStripe, **fields: Any) -> Any:
    stripe.account.tell("invoice.paid", {"id": "in_1", "object": "invoice"})
    return stripe.account.events.pop() | fields


async def count_events(system: System) -> int:
    async with system.work() as work:
        return int(await work.session.scalar(select(func.count(ReceivedEvent.id))) or 0)


async def test_event_is_kept_once_however_often_it_comes(
    api: Api, system: System, stripe: FakeStripe, clock: ManualClock
) -> None:
    event = make_event(stripe)
    for _ in range(3):
        assert await send_event(api, event, clock) == {"received": True}
        clock.advance(minutes=1)
    assert await count_events(system) == 1


@pytest.mark.parametrize(
    ("fields", "signed", "field"),
    [
        ({"account": "acct_another"}, {}, "account"),
        ({"livemode": True}, {}, "livemode"),
        ({}, {"secret": "whsec_another"}, "Stripe-Signature"),
        ({}, {"age": 301}, "Stripe-Signature"),
    ],
)
async def test_event_that_is_not_ours_is_refused_with_the_field_and_kept_nowhere(
    api: Api, system: System, stripe: FakeStripe, clock: ManualClock, fields: Any, signed: Any, field: str
) -> None:
    problem = await send_event(api, make_event(stripe, **fields), clock, expect=422, **signed)
    assert problem["errors"][0]["field"] == field
    assert await count_events(system) == 0


async def test_event_of_our_own_account_named_is_kept(
    api: Api, system: System, stripe: FakeStripe, clock: ManualClock
) -> None:
    await send_event(api, make_event(stripe, account=ACCOUNT_ID), clock)
    assert await count_events(system) == 1


async def test_event_about_what_we_do_not_know_is_handled_and_asks_nothing(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    await send_event(api, make_event(stripe), clock)
    stripe.account.tell("customer.subscription.created", {"id": "sub_1", "object": "subscription"})
    await send_event(api, stripe.account.events.pop(), clock)
    await relay.run()
    assert [call.path for call in stripe.calls] == ["/v1/account"]


async def test_without_a_secret_there_is_no_endpoint(system: System, stripe: FakeStripe, clock: ManualClock) -> None:
    system.services.settings.stripe_webhook_secret = None
    async with Api.connect(create_app(system), "") as api:
        await send_event(api, make_event(stripe), clock, expect=404)


async def test_body_is_limited(api: Api, clock: ManualClock) -> None:
    body = b" " * (8 * 1024 * 1024 + 1)
    await api.call("POST", "/webhooks/stripe", content=body, headers=sign(b"", clock), expect=413)


async def test_secret_that_is_being_changed_is_two(
    api: Api, system: System, stripe: FakeStripe, clock: ManualClock
) -> None:
    system.services.settings.stripe_webhook_secret = SecretStr(f"whsec_new, {WEBHOOK_SECRET}")
    await send_event(api, make_event(stripe), clock)
    await send_event(api, make_event(stripe), clock, secret="whsec_new")
    assert await count_events(system) == 2
