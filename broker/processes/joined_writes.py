"""Answers that leave in one piece: uvicorn writes the head and the body of each apart, in two calls of the kernel.

The client is then woken twice, too. A head that no body follows at once, such as that of a stream, leaves in the same
turn of the loop.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWrites:
    """A transport that holds what is written first in a turn of the loop, and sends it with what is written next."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.held: bytes | None = None

    def write(self, data: bytes) -> None:
        if self.held is None:
            self.held = data
            self.loop.call_soon(self.flush)
        else:
            written, self.held = self.held, None
            self.transport.write(written + data)

    def flush(self) -> None:
        """Send what is held, if anything is."""
        if self.held is not None:
            written, self.held = self.held, None
            self.transport.write(written)

    def close(self) -> None:
        self.flush()
        self.transport.close()

    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's protocol of a connection, with its answers in one piece each."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]
