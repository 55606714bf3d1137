"""Where Stripe sends its events to. It has no key of ours: what it signed is what lets it in."""

from typing import Annotated

from fastapi import APIRouter, Header, Request

from broker import errors
from broker.config import Settings
from broker.http.body import limit_body
from broker.payments.stripe.schemas import EventReceiptOut
from broker.payments.stripe.signatures import HEADER, Expected, read_event
from broker.payments.webhooks.receiving import keep_event
from broker.system import System

router = APIRouter(prefix="/v1/webhooks", tags=["billing"])


@router.post("/stripe", openapi_extra={"security": []})
async def receive_stripe_event(
    request: Request,
    signature: Annotated[
        str,
        Header(
            alias=HEADER, max_length=2000, description="By which Stripe proves that it is it.", examples=["t=1,v1=f"]
        ),
    ] = "",
) -> EventReceiptOut:
    """Receive an event of Stripe: it is kept before this answers, and handled after. Twice is once."""
    system = System(request.app.state.database, request.app.state.services)
    expected = find_expected(system.services.settings)
    if expected is None:
        raise errors.NotFound("endpoint for events of", "Stripe: BROKER_STRIPE_WEBHOOK_SECRET is not set")
    payload = await limit_body(request, system.services).body()
    event = read_event(payload, signature, expected, now=system.services.now)
    async with system.work() as work:
        await keep_event(work, event)
    return EventReceiptOut()


def find_expected(settings: Settings) -> Expected | None:
    """Find what events must be of; None where none are taken."""
    key, secret = settings.stripe_api_key, settings.stripe_webhook_secret
    if key is None or secret is None or settings.stripe_account_id is None:
        return None
    secrets = tuple(each.strip() for each in secret.get_secret_value().split(",") if each.strip())
    return Expected(secrets, settings.stripe_account_id, is_live="_live_" in key.get_secret_value())
