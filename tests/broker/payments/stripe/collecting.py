"""Builders: an order or a month's invoice that Stripe collects, the relay run until nothing is left, events sent."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from stripe import WebhookSignature

from broker.payments.stripe.relay import StripeRelay
from broker.payments.stripe.tables import StripeStep
from broker.payments.webhooks.tables import ReceivedEvent
from broker.system import System
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, sign_contract
from tests.broker.payments.stripe.fake.server import WEBHOOK_SECRET, FakeStripe
from tests.broker.running_jobs import HOUR

DECEMBER = datetime(2026, 12, 2, tzinfo=UTC)


@dataclass
class Collected:
    """An invoice that Stripe is to collect."""

    customer_id: str
    contract: Any
    invoice_id: str


async def collect(api: Api, customer_id: str, *, collects: bool = True, email: str | None = None) -> Any:
    body = {"collects": collects, "email": email}
    return (await api.call("PUT", f"/stripe/customers/{customer_id}", json=body, expect=200)).json()


async def make_order(api: Api, **contract: Any) -> Collected:
    """Have a customer order 500 hours, 2,600.00, that Stripe collects."""
    customer = await make_customer(api)
    signed = await sign_contract(api, customer["id"], **{"plan": "prepaid", "committed_gpu_hours": 500, **contract})
    await collect(api, customer["id"])
    return Collected(customer["id"], signed, signed["advance_invoice_id"])


async def collect_month(
    api: Api, system: System, clock: ManualClock, customer: Customer, *, gpu_seconds: int = HOUR, tokens: int = 1000
) -> Collected:
    """Have a customer use something in November, and Stripe collect the invoice of it: 6.92 by default."""
    await use(system, customer, gpu_seconds, tokens)
    clock.now = max(clock.now, DECEMBER)
    invoice = await bill(api, customer, "2026-11")
    await collect(api, customer.id)
    return Collected(customer.id, customer.contract, invoice["id"])


async def run_down(relay: StripeRelay, clock: ManualClock | None = None, *, rounds: int = 12) -> None:
    """Run the relay until a run has found nothing to do; with a clock, also what was put off."""
    seen = await read_progress(relay.system)
    for _ in range(rounds):
        before = seen
        await relay.run()
        seen = await read_progress(relay.system)
        if seen == before and (clock is None or not any(is_left for *_at, is_left in seen)):
            return
        if clock is not None:
            clock.advance(minutes=3)


async def read_progress(system: System) -> list[tuple[Any, ...]]:
    """Read how far each step and each event is: all that a run of the relay changes. The last value: it is left."""
    async with system.work() as work:
        tried = StripeStep.failures, StripeStep.key_number, StripeStep.must_search
        steps = select(StripeStep.id, *tried, StripeStep.state == "waiting").order_by(StripeStep.id)
        events = select(ReceivedEvent.id, ReceivedEvent.failures, ReceivedEvent.handled_at.is_(None))
        found = [(await work.session.execute(each)).all() for each in (steps, events.order_by(ReceivedEvent.id))]
    return [tuple(row) for rows in found for row in rows]


def find_invoices(stripe: FakeStripe, collected: Collected) -> list[Any]:
    """Find what Stripe has of an invoice."""
    found = stripe.account.invoices.values()
    return [each for each in found if each["metadata"].get("broker_id") == collected.invoice_id]


def find_invoice(stripe: FakeStripe, collected: Collected) -> Any:
    (only,) = find_invoices(stripe, collected)
    return only


def sign(body: bytes, clock: ManualClock, *, secret: str = WEBHOOK_SECRET, age: int = 0) -> dict[str, str]:
    moment = int(clock.now.timestamp()) - age
    return {"Stripe-Signature": WebhookSignature.generate_signature_header(body.decode(), secret, moment)}


async def send_event(api: Api, event: Any, clock: ManualClock, *, expect: int = 200, **signed: Any) -> Any:
    """Send an event as Stripe does, without a key of ours."""
    body = json.dumps(event).encode()
    headers = {"Authorization": "", "Content-Type": "application/json", **sign(body, clock, **signed)}
    return (await api.call("POST", "/webhooks/stripe", content=body, headers=headers, expect=expect)).json()


async def send_events(api: Api, stripe: FakeStripe, clock: ManualClock) -> None:
    """Send all events that Stripe has, in their order, and forget them."""
    for event in stripe.account.events:
        await send_event(api, event, clock)
    stripe.account.events.clear()


async def read_granted(api: Api, collected: Collected) -> str:
    """Read how many hours the contract has to use."""
    balance = await api.get(f"/contracts/{collected.contract['id']}/balance")
    return str(balance["available_gpu_hours"])
