"""Keys and secrets are in no log line, no settings dump and no table; nothing goes to Stripe that is not told."""

import json
import logging
from typing import Any

import pytest
import stripe as official
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from broker.config import Settings
from broker.payments.stripe.client import WrongAccount
from broker.payments.stripe.relay import StripeRelay
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.payments.stripe.collecting import collect_month, make_order, run_down, send_event
from tests.broker.payments.stripe.fake.server import API_KEY, WEBHOOK_SECRET, FakeStripe, Fault

SECRETS = (API_KEY, WEBHOOK_SECRET)


async def test_no_line_of_the_log_and_no_table_has_a_secret(
    api: Api,
    system: System,
    relay: StripeRelay,
    stripe: FakeStripe,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    stripe.fail("/v1/customers", Fault.DONE_NO_ANSWER, Fault.BROKEN, Fault.BUSY)
    await make_order(api)
    await run_down(relay, clock)
    stripe.account.tell("invoice.paid", {"id": "in_1", "object": "invoice"})
    await send_event(api, stripe.account.events.pop(), clock)
    await send_event(api, {"id": "evt_x"}, clock, expect=422)
    async with system.work() as work:
        kept = [
            str((await work.session.execute(text(f"SELECT * FROM {table}"))).all())
            for table in ("stripe_steps", "stripe_invoices", "received_events", "audit_entries")
        ]
    for secret in SECRETS:
        assert secret not in caplog.text
        assert secret not in "".join(kept)
        assert secret not in repr(system.services.settings)
        assert secret not in system.services.settings.model_dump_json()


async def test_only_what_the_page_says_is_sent(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    await collect_month(api, system, clock, await make_ready_customer(api))
    await run_down(relay)
    names = {name for call in stripe.calls for name in call.params}
    assert names == {
        "name",
        "metadata",
        "customer",
        "currency",
        "auto_advance",
        "collection_method",
        "pending_invoice_items_behavior",
        "due_date",
        "number",
        "custom_fields",
        "lines",
    }
    assert official.enable_telemetry is False
    assert "label" not in json.dumps([call.params for call in stripe.calls])


async def test_key_of_another_account_sends_nothing(api: Api, relay: StripeRelay, stripe: FakeStripe) -> None:
    await make_order(api)
    object.__setattr__(relay.access, "account_id", "acct_another")
    with pytest.raises(WrongAccount, match="BROKER_STRIPE_ACCOUNT_ID says acct_another"):
        await relay.run()
    assert [call.method for call in stripe.calls] == ["GET"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stripe_api_key": SecretStr("sk_test_1")}, "BROKER_STRIPE_ACCOUNT_ID must name the account"),
        ({"stripe_account_id": "1A2b"}, "stripe_account_id"),
        ({"stripe_api_base": "localhost:1"}, "is no address"),
    ],
)
def test_settings_that_are_not_whole_say_what_is_missing(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings(**settings)
