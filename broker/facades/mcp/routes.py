"""The route of the server: one address, each request answered for itself by whatever process it reaches.

The protocol's library takes a second to read, which nobody pays who does not ask for it.
"""

import asyncio
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from broker.http.edge import identify
from broker.http.rate_limits import admit_request

if TYPE_CHECKING:
    from mcp.server import Server

PATH = "/mcp"
router = APIRouter(include_in_schema=False)


class Spoken(Response):
    """An answer of the protocol, in events where it tells progress."""

    def __init__(self, server: "Server[Any]") -> None:
        super().__init__()
        self.server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from broker.facades.mcp.server import open_manager  # noqa: PLC0415 (read on first use)

        manager = open_manager(self.server)
        async with manager.run():
            await manager.handle_request(scope, receive, send)


@router.post(PATH)
async def speak(request: Request) -> Response:
    """Answer a message of the protocol to the bearer of an API key.

    It counts as a request of the key, and so does each that its tools send to the REST API.
    """
    await admit_request(request, await identify(request))
    secret = await asyncio.to_thread(request.app.state.services.settings.load_secret)
    return Spoken(await asyncio.to_thread(_find_server, secret))


@lru_cache(maxsize=2)
def _find_server(secret: bytes) -> "Server[Any]":
    from broker.facades.mcp.server import make_server  # noqa: PLC0415 (read on first use)

    return make_server(hashlib.sha256(b"mcp request state" + secret).digest())
