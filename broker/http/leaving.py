"""How a process leaves: it says so where it is asked whether it is ready, and ends the streams that would not end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


class Leaving:
    """What a process that is to end tells of it: first to whoever asks, and at last to the streams that it serves."""

    def __init__(self) -> None:
        self.is_announced = False
        self._streams_end = asyncio.Event()
        self._told_at_end: list[Callable[[], None]] = []

    @property
    def ends_streams(self) -> bool:
        """Tell whether every stream is to end: clients come back to another process, and go on from there."""
        return self._streams_end.is_set()

    def announce(self) -> None:
        """Say from now on that this process is not to be sent anything more; it still answers."""
        self.is_announced = True

    def end_streams(self) -> None:
        """Have every stream end between two of its pieces."""
        self._streams_end.set()
        for tell in self._told_at_end:
            tell()

    def tell_at_end(self, tell: Callable[[], None]) -> None:
        """Have somebody told when streams are to end, who feeds some."""
        self._told_at_end.append(tell)

    async def rest(self, seconds: float) -> None:
        """Rest so long between two pieces of a stream, or until streams are to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._streams_end.wait(), seconds)
