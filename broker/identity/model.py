"""API keys and run tokens: how they are made, hashed and checked. Pure."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

KEY_MARK = "lbk"
RUN_MARK = "lbr"
SECRET_BYTES = 24


@dataclass(frozen=True)
class NewKey:
    """A key in clear, shown once; its visible prefix; the hash that is kept."""

    clear: str
    prefix: str
    key_hash: str


def make_key() -> NewKey:
    prefix = f"{KEY_MARK}_{secrets.token_hex(4)}"
    clear = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(clear, prefix, hash_key(clear))


def hash_key(clear: str) -> str:
    """SHA-256: enough for a key of 192 random bits, which no dictionary holds."""
    return hashlib.sha256(clear.encode()).hexdigest()


def sign_run_token(secret: bytes, run_id: str) -> str:
    """The bearer token of one run: derived, so that a relaunch hands out the same and none is stored."""
    return f"{RUN_MARK}.{run_id}.{_mac(secret, run_id)}"


def read_run_token(secret: bytes, token: str) -> str | None:
    """The run that a token is for; None where it is not one of ours."""
    mark, _, rest = token.partition(".")
    run_id, _, mac = rest.partition(".")
    if mark != RUN_MARK or not hmac.compare_digest(mac.encode(), _mac(secret, run_id).encode()):
        return None
    return run_id


def _mac(secret: bytes, run_id: str) -> str:
    return hmac.new(secret, run_id.encode(), hashlib.sha256).hexdigest()
