"""The end of a request that is answered before its body is there: what is still on its way is taken, and thrown away.

Many clients send all before they read a line of the answer. Where a server that has refused them, `413` or any other
way, closes a connection on which bytes have come that it never took, the kernel resets it, and with it goes the answer.
So it is sent whole at once, and its connection ends when the client has sent all, or a bound is reached.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.http.leaving import Leaving

# Source of the times: `lingering_time` and `lingering_timeout` of nginx.
LINGER_SECONDS, SILENT_SECONDS = 30.0, 5.0
LINGER_BYTES = 256 << 20
# A client that has no more than this to send keeps its connection.
KEPT_BYTES = 1 << 20
CLOSES = (b"connection", b"close")


@dataclass(frozen=True)
class LingerBounds:
    """How long, and for how many bytes, a request lingers that was answered early. Units: seconds, bytes."""

    seconds: float = LINGER_SECONDS
    silent_seconds: float = SILENT_SECONDS
    most_bytes: int = LINGER_BYTES


BOUNDS = LingerBounds()


class Lingering:
    """Has each request linger that was answered before its body had come, unless the process is to end."""

    def __init__(self, app: ASGIApp, bounds: LingerBounds = BOUNDS) -> None:
        self.app, self.bounds = app, bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = None if scope["type"] != "http" else find_body(scope, receive, send)
        if body is None:
            await self.app(scope, receive, send)
            return
        await self.app(scope, body.receive, body.send)
        if body.is_held:
            await body.linger(self.bounds, scope["app"].state.leaving)
            await body.end()


def find_body(scope: Scope, receive: Receive, send: Send) -> "Body | None":
    """Find the body that a request announces; None where it has none. The server refuses a length that is no number."""
    length, is_chunked, waits = 0, False, False
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"expect":
            waits = value.lower() == b"100-continue"
    if length == 0 and not is_chunked:
        return None
    return Body(receive, send, announced=None if is_chunked else length, waits=waits)


@dataclass(slots=True)
class Body:
    """The body of one request as it comes, and the end of its answer, which is held back while bytes are on their way.

    `announced`: how many bytes come, None where nobody knows. `waits`: none comes before it is asked for.
    """

    take: Receive
    tell: Send
    announced: int | None
    waits: bool
    received: int = 0
    is_whole: bool = False
    is_held: bool = False

    async def receive(self) -> Message:
        self.waits = False  # who asks for a part of it tells the client to go on
        message = await self.take()
        self.received += len(message.get("body", b""))
        self.is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    @property
    def is_on_its_way(self) -> bool:
        return not (self.is_whole or self.waits)

    async def send(self, message: Message) -> None:
        if self.is_on_its_way and message["type"] == "http.response.start" and not self._keeps_connection():
            message["headers"] = [*message.get("headers", ()), CLOSES]
        if self.is_on_its_way and message["type"] == "http.response.body" and not message.get("more_body", False):
            self.is_held = True
            message = {**message, "more_body": True}
        await self.tell(message)

    def _keeps_connection(self) -> bool:
        return self.announced is not None and self.announced - self.received <= KEPT_BYTES

    async def linger(self, bounds: LingerBounds, leaving: Leaving) -> None:
        """Take what still comes, until it is whole or a bound is reached."""
        loop = asyncio.get_running_loop()
        ends_at, most = loop.time() + bounds.seconds, self.received + bounds.most_bytes
        while not self.is_whole and self.received < most and not leaving.ends_streams:
            try:
                async with asyncio.timeout_at(min(ends_at, loop.time() + bounds.silent_seconds)):
                    await self.receive()
            except TimeoutError:
                return

    async def end(self) -> None:
        """Send the end of the answer that was held back."""
        await self.tell({"type": "http.response.body", "body": b"", "more_body": False})
