"""Only a page of this console may have a form sent: its token is bound to the session, and browsers say who sends."""

import hashlib
import hmac

from fastapi import Request

from broker import errors

FIELD, HEADER = "csrf", "X-CSRF-Token"


def make_csrf_token(secret: bytes, session_token: str) -> str:
    """Derive the token that the forms of a session carry; it is stored nowhere."""
    return hmac.new(secret, f"csrf {session_token}".encode(), hashlib.sha256).hexdigest()


def require_same_origin(request: Request) -> None:
    """Refuse what a page of another host has sent. Raises: Forbidden."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site in {"same-origin", "none"} and (origin is None or origin.partition("://")[2] == request.url.netloc):
        return
    raise errors.Forbidden("This form was sent from another site; open the page here, and send it again.")


async def require_csrf_token(request: Request, expected: str) -> None:
    """Refuse a form that carries no token of this session. Raises: Forbidden."""
    sent = request.headers.get(HEADER) or (await request.form()).get(FIELD)
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), expected.encode()):
        raise errors.Forbidden("This page is of an earlier session; load it again, and send the form once more.")
