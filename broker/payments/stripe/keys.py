"""Idempotency keys of what we ask of Stripe: `{our id}:{step}:{content hash}`, the second on numbered. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# By which metadata our objects are found at Stripe.
OUR_ID = "broker_id"
LONGEST_KEY = 255


def hash_content(content: Mapping[str, Any]) -> str:
    """Hash what is sent: sixteen hexadecimal digits, the same for the same content in any order."""
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def make_key(our_id: str, step: str, content: Mapping[str, Any], *, number: int = 1) -> str:
    """Make the key under which Stripe does a step once; a later number where an answer of the one before is spoilt."""
    key = f"{our_id}:{step}:{hash_content(content)}" + (f":{number}" if number > 1 else "")
    assert len(key) <= LONGEST_KEY, "our ids and steps are short"
    return key
