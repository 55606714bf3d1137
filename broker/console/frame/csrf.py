"""Only a page of this console may have a form sent: its token is bound to the session, and browsers say who sends."""

import hashlib
import hmac

from fastapi import Request

from broker import errors

FIELD, HEADER = "csrf", "X-CSRF-Token"
# By what browsers say which page a form is from.
SAID_BY = frozenset({"origin", "sec-fetch-site"})


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


def require_named_origin(request: Request) -> None:
    """Refuse what does not come from a page of this console for sure. Raises: Forbidden."""
    require_same_origin(request)
    if SAID_BY.isdisjoint(request.headers.keys()):
        raise errors.Forbidden("This form was sent from another site; open the page here, and send it again.")


async def has_csrf_token(request: Request, expected: str) -> bool:
    """Tell whether a form carries the token of this session."""
    sent = request.headers.get(HEADER) or (await request.form()).get(FIELD)
    return isinstance(sent, str) and hmac.compare_digest(sent.encode(), expected.encode())
