"""By which names a server on the loopback is spoken to: a page of the web that was led here by its own name is refused.

A browser sends requests to `evil.example` to this machine once that name resolves to 127.0.0.1 (DNS rebinding), and
simple ones from any page to `127.0.0.1` itself: the first say another `Host`, the second another `Origin`.
"""

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.serving.answers import describe_error

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def choose_names(host: str, allowed: Iterable[str]) -> frozenset[str] | None:
    """Choose the names that a server answers to: on the loopback its own and those allowed; None: to any.

    What listens on other addresses is reached by names that it cannot know, unless some are allowed.
    """
    named = frozenset(each.lower() for each in allowed)
    if host in LOOPBACK:
        return LOOPBACK | named
    return named | {host.lower()} if named else None


def read_name(authority: str) -> str:
    """Read the name out of `name:port` or an origin; '' where there is none."""
    try:
        return urlsplit(authority if "//" in authority else f"//{authority}").hostname or ""
    except ValueError:
        return ""


class NameGuard:
    """Answers requests to one of the names alone, and from pages of these where a browser sends them."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._find_refusal(Headers(scope=scope))
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _find_refusal(self, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if read_name(host) not in self._names:
            told = f"this server is not {host!r}; start it with --allow-host to have it answer to that name"
            return _refuse(HTTPStatus.MISDIRECTED_REQUEST, told, "Host")
        if origin is not None and read_name(origin) not in self._names:
            told = f"pages of {origin!r} may not use this server; start it with --allow-host to let them"
            return _refuse(HTTPStatus.FORBIDDEN, told, "Origin")
        return None


def _refuse(status: HTTPStatus, told: str, header: str) -> JSONResponse:
    """Refuse, and close the connection: the body is unread."""
    return JSONResponse(describe_error(told, param=header), status, {"Connection": "close"})
