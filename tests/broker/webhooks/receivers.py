"""A receiver of webhooks on this machine, and a sender that writes down what it is given."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook

from broker.webhooks.sender import Answer
from tests.broker.factories import Api

TAKEN = Answer(200, "ok")
AWAY = Answer(None, error="no connection")


@dataclass
class PaperSender:
    """Takes what it is sent, or answers as it was told to."""

    answer: Answer = TAKEN
    sent: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:  # noqa: ARG002 (the port's)
        self.sent.append((dict(headers), body))
        return self.answer

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _body in self.sent]


@dataclass
class Receiver:
    """An HTTP server that answers every request with the same bytes, or never, and keeps what it was sent.

    One that `drips` leaves the connection open after them, as if there was more to come.
    """

    answer: bytes | None
    drips: bool = False
    port: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.got.append((headers, await reader.readexactly(int(headers.get("content-length", 0)))))
        self.asked.set()
        if self.answer is None:
            await reader.read()  # until the sender gives up
        else:
            writer.write(self.answer)
            await writer.drain()
        if self.drips:
            await reader.read()
        writer.close()


@asynccontextmanager
async def open_receiver(
    answer: bytes | None = b"HTTP/1.1 204 No Content\r\n\r\n", *, drips: bool = False
) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer, drips)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> Any:
    """Verify as a receiver does, with the verifier of Standard Webhooks; what it says. Raises: its own errors."""
    return Webhook(secret).verify(body, dict(headers))


async def make_endpoint(api: Api, customer_id: str, **fields: Any) -> dict[str, Any]:
    body = {"customer_id": customer_id, "name": "CI", "url": "https://hooks.example.com/lora", **fields}
    return await api.post("/webhook-endpoints", body, expect=201)
