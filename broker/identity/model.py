"""API keys, sessions and run tokens: how they are made, hashed and checked. Pure."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

KEY_MARK = "lbk"
RUN_MARK = "lbr"
SESSION_MARK = "lbs"
SECRET_BYTES = 24
# What a key is to a project: one looks, the other acts.
VIEWER, MEMBER = "viewer", "member"


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
    """Hash a key by SHA-256: enough for 192 random bits, which no dictionary holds."""
    return hashlib.sha256(clear.encode()).hexdigest()


def make_session_token() -> str:
    """Make the token of a session: as random as a key, and told apart from one by its mark."""
    return f"{SESSION_MARK}_{secrets.token_urlsafe(SECRET_BYTES)}"


@dataclass(frozen=True)
class RunBearer:
    """The run that a token is for, and the customer whose run it is."""

    run_id: str
    customer_id: str


def sign_run_token(secret: bytes, bearer: RunBearer) -> str:
    """Derive the bearer token of one run: a relaunch hands out the same, and none is stored."""
    return f"{RUN_MARK}.{bearer.run_id}.{bearer.customer_id}.{_mac(secret, bearer)}"


def read_run_token(secret: bytes, token: str) -> RunBearer | None:
    """Read the run and its customer out of a token; None where we have not signed it."""
    if token.count(".") != 3:
        return None
    mark, run_id, customer_id, mac = token.split(".")
    bearer = RunBearer(run_id, customer_id)
    if mark != RUN_MARK or not hmac.compare_digest(mac.encode(), _mac(secret, bearer).encode()):
        return None
    return bearer


def _mac(secret: bytes, bearer: RunBearer) -> str:
    return hmac.digest(secret, f"{bearer.run_id}.{bearer.customer_id}".encode(), "sha256").hex()
