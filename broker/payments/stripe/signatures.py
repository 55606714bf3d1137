"""Whether an event is Stripe's and of our account: its signature, age, account and mode. Pure.

The official client verifies the signature. It reads the system's clock for the age and takes what is signed for the
future, so the age is judged here, by the clock of the installation.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from broker import errors
from broker.payments.webhooks.receiving import STRIPE, Event

TOLERANCE = timedelta(minutes=5)
HEADER = "Stripe-Signature"
# The year 9999 ends then; datetime knows no later one.
LAST_SECOND = 253_402_300_800


@dataclass(frozen=True)
class Expected:
    """What an event must be of."""

    secrets: tuple[str, ...]
    account_id: str
    is_live: bool


def read_event(payload: bytes, signature: str, expected: Expected, *, now: datetime) -> Event:
    """Read an event that is proven to be Stripe's and of our account. Raises: InvalidRequest, naming the field."""
    _require_signature(payload, signature, expected, now=now)
    event = _parse(payload)
    account = event.get("account")
    if account is not None and account != expected.account_id:
        raise errors.invalid_field(
            "account", f"is {str(account)[:100]!r}, another account's; this broker is that of {expected.account_id}"
        )
    if event["livemode"] is not expected.is_live:
        mode = "live" if expected.is_live else "test"
        raise errors.invalid_field(
            "livemode", f"is {event['livemode']}, but the key here is a {mode} one; send it where its mode is served"
        )
    told = event["data"]["object"]
    object_id = told.get("id")
    return Event(
        provider=STRIPE,
        event_id=event["id"],
        type=event["type"],
        object_id=object_id if isinstance(object_id, str) else None,
        sent_at=datetime.fromtimestamp(event["created"], UTC),
    )


def _require_signature(payload: bytes, signature: str, expected: Expected, *, now: datetime) -> None:
    if not any(_is_signed(payload, signature, secret) for secret in expected.secrets):
        raise errors.invalid_field(
            HEADER, "does not prove that Stripe sent this body; is BROKER_STRIPE_WEBHOOK_SECRET that of this endpoint?"
        )
    signed_at = datetime.fromtimestamp(_read_moment(signature), UTC)
    if abs(now - signed_at) > TOLERANCE:
        minutes = int(TOLERANCE.total_seconds() // 60)
        raise errors.invalid_field(HEADER, f"was made more than {minutes} minutes from now; Stripe sends it again")


def _is_signed(payload: bytes, signature: str, secret: str) -> bool:
    if not signature.isascii():
        return False  # the client compares text of ASCII alone
    try:
        stripe.WebhookSignature.verify_header(payload, signature, secret, tolerance=None)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def _read_moment(signature: str) -> int:
    """Read when a signature that was verified was made. Units: Unix seconds."""
    return int(next(part[2:] for part in signature.split(",") if part.startswith("t=")))


def _parse(payload: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(payload)
        well_formed = (
            isinstance(event["id"], str)
            and isinstance(event["type"], str)
            and isinstance(event["created"], int)
            and 0 < event["created"] < LAST_SECOND
            and isinstance(event["livemode"], bool)
            and isinstance(event["data"]["object"], dict)
        )
    except (ValueError, KeyError, TypeError):
        well_formed = False
    if not well_formed:
        raise errors.invalid_field("body", "is signed, but no event as Stripe writes them")
    return dict(event)
