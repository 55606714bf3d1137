"""How a process leaves: it says so where it is asked whether it is ready, and ends the streams that would not end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

Piece = TypeVar("Piece")


class Leaving:
    """What a process that is to end tells of it: first to whoever asks, and at last to the streams that it serves."""

    def __init__(self) -> None:
        self.is_announced = False
        self._streams_end = asyncio.Event()

    def announce(self) -> None:
        """Say from now on that this process is not to be sent anything more; it still answers."""
        self.is_announced = True

    def end_streams(self) -> None:
        """End every stream between two of its pieces: clients come back to another process, and go on from there."""
        self._streams_end.set()

    async def cut(self, pieces: AsyncIterator[Piece]) -> AsyncGenerator[Piece]:
        """Hand on the pieces of a stream that goes on for long, until it ends or the process leaves."""
        leaving = asyncio.create_task(self._streams_end.wait())
        try:
            while True:
                coming = asyncio.create_task(_await_next(pieces))
                try:
                    await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait({coming})
                if coming.cancelled():
                    return
                try:
                    piece = coming.result()
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            leaving.cancel()
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()


async def _await_next(pieces: AsyncIterator[Piece]) -> Piece:
    return await anext(pieces)
