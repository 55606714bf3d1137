"""Signatures by Standard Webhooks: HMAC-SHA256 of id, moment and body, by a secret that each endpoint has of its own.

Source: the specification, symmetric scheme `v1`. It is a line of the standard library's hmac; that a verifier which
nobody here wrote takes it is tested.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32
LEAST_BYTES = 24  # of one that somebody else made, as the specification says


def make_secret() -> str:
    """Make the secret of an endpoint, in the form that verifiers read."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Tell whether a text is a secret in that form."""
    try:
        return (
            text.startswith(PREFIX) and len(base64.b64decode(text.removeprefix(PREFIX), validate=True)) >= LEAST_BYTES
        )
    except ValueError:
        return False


def write_headers(event_id: str, at: datetime, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """Write the headers of an attempt: one signature for each key that is good, with a blank between."""
    moment = str(int(at.timestamp()))
    signatures = (sign(key, event_id, moment, body) for key in keys)
    return {"webhook-id": event_id, "webhook-timestamp": moment, "webhook-signature": " ".join(signatures)}


def sign(key: str, event_id: str, moment: str, body: bytes) -> str:
    """Sign what is sent, at a moment in seconds since 1970."""
    signed = f"{event_id}.{moment}.".encode() + body
    digest = hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
