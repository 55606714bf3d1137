"""Where the tar of a data set lies: in an object of its own, or in spans of that and of the upload that it is made of.

A version with other captions shares the pictures of its upload, the base: its own object has what is other, and behind
that which bytes of the base stand where. So however often captions are edited, the pictures are stored once. A base is
always a whole tar, never made of another: who reads a version opens two objects at most.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from broker.persistence.pieces import open_joined
from broker.persistence.storage import Storage

Opener = Callable[[], BinaryIO]
# The end of an own object: how long the list of spans before it is.
LENGTH_BYTES = 8


class Span(NamedTuple):
    """So many bytes of a tar: those of the base from a place on, or, without one, the next ones of the own object."""

    size_bytes: int
    base_start: int | None


@dataclass(frozen=True)
class StoredTar:
    """A data set's tar as it lies in the storage; without a base its object is the tar itself."""

    key: str
    size_bytes: int
    base_key: str | None = None

    def bind(self, storage: Storage) -> "BoundTar":
        """Bind it to the storage in which it lies, so that it can be sent."""
        return BoundTar(self, storage)

    async def stream(self, storage: Storage, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Stream the bytes from `start` to before `end`; none where there is nothing."""
        last = self.size_bytes if end is None else min(end, self.size_bytes)
        if self.base_key is None:
            async for piece in storage.stream(self.key, start, last):
                yield piece
            return
        for key, first, size_bytes in cut_spans(self._place(await self._read_spans(storage)), start, last):
            async for piece in storage.stream(key, first, first + size_bytes):
                yield piece

    @asynccontextmanager
    async def borrow(self, storage: Storage) -> AsyncIterator[Opener]:
        """Have the tar as a file that can be opened for the length of a block. Raises: FileNotFoundError."""
        async with storage.borrow(self.key) as own:
            if self.base_key is None:
                yield lambda: own.open("rb")
                return
            async with storage.borrow(self.base_key) as base:
                paths = {self.key: own, self.base_key: base}
                placed = self._place(await self._read_spans(storage))
                yield lambda: _open_placed(placed, paths)

    async def read_spans(self, storage: Storage) -> list[Span]:
        """Read of which spans the tar is. Raises: FileNotFoundError."""
        if self.base_key is None:
            return [Span(self.size_bytes, 0)]
        return await self._read_spans(storage)

    async def _read_spans(self, storage: Storage) -> list[Span]:
        end = await storage.size(self.key) - LENGTH_BYTES
        length = int.from_bytes(await storage.read(self.key, end, end + LENGTH_BYTES))
        return [Span(*span) for span in json.loads(await storage.read(self.key, end - length, end))]

    def _place(self, spans: Iterable[Span]) -> list[tuple[str, int, int]]:
        """Place spans: the key of each, where it begins under that, and how long it is."""
        placed, own_end = list[tuple[str, int, int]](), 0
        for span in spans:
            if span.base_start is None:
                placed.append((self.key, own_end, span.size_bytes))
                own_end += span.size_bytes
            else:
                placed.append((self.base_key or self.key, span.base_start, span.size_bytes))
        return placed


@dataclass(frozen=True)
class BoundTar:
    """A tar in its storage, to be sent as a whole or in ranges."""

    tar: StoredTar
    storage: Storage

    async def size(self) -> int:
        """Tell its size in bytes; 0 where nothing is there."""
        return self.tar.size_bytes if await self.storage.size(self.tar.key) else 0

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Stream the bytes from `start` to before `end`."""
        return self.tar.stream(self.storage, start, end)


def cut_spans(placed: Iterable[tuple[str, int, int]], start: int, end: int) -> list[tuple[str, int, int]]:
    """Cut placed spans to those bytes that come from `start` to before `end` in all. Pure."""
    cut, place = list[tuple[str, int, int]](), 0
    for key, first, size_bytes in placed:
        left, right = max(start - place, 0), min(end - place, size_bytes)
        if left < right:
            cut.append((key, first + left, right - left))
        place += size_bytes
    return cut


def write_spans(spans: Sequence[Span]) -> bytes:
    """Write what comes behind the own bytes of a version. Pure."""
    written = json.dumps(spans, separators=(",", ":")).encode()
    return written + len(written).to_bytes(LENGTH_BYTES)


def _open_placed(placed: Sequence[tuple[str, int, int]], paths: Mapping[str, Path]) -> BinaryIO:
    files = {key: path.open("rb") for key, path in paths.items()}
    return open_joined([(files[key], first, size_bytes) for key, first, size_bytes in placed])
