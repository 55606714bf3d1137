"""Where datasets, checkpoints and adapters lie, as everybody sees it: one small interface (`folder_storage.py`)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class ListedObject:
    """What a listing tells of an object. `modified_at` is when it was last written (UTC)."""

    key: str
    size_bytes: int
    modified_at: datetime


class TooLarge(ValueError):
    """The stream is longer than its limit; nothing was kept."""


class OffsetMismatch(ValueError):
    """A chunk does not join on to what is there; `size_bytes` is what is there."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        super().__init__(f"{size_bytes} bytes are there")


class Overtaken(Exception):
    """Another writer goes on where this one was: no more of its chunks is written, and what is there stays."""


class Storage(Protocol):
    @property
    def scratch(self) -> Path:
        """Return a folder of this machine in which what is to be kept is put together; its files' names are hidden.

        What a killed process has left there goes by `delete_unfinished`.
        """

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        """Keep a stream under `key`, whole or not at all. Raises: TooLarge."""

    async def adopt(self, key: str, path: Path) -> None:
        """Keep a finished file of `scratch` under `key`, whole or not at all; the file is gone then."""

    async def append(
        self, key: str, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, is_whole: bool = False
    ) -> int:
        """Write a chunk of `key` from `offset` on, over what a broken-off chunk may have left; returns the new size.

        Where the chunks break off, what has come of them stays; or nothing of them does, where they are to be `whole`.
        Where they raise Overtaken, what another writer has written since is left alone: nothing is taken back, either.
        Raises: TooLarge; OffsetMismatch, where less than `offset` bytes are there.
        """

    async def size(self, key: str) -> int:
        """Tell the size of what is under `key`, in bytes; 0 where there is nothing."""

    def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Stream the bytes under `key`, from `start` to before `end`; none where there is nothing."""

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read the bytes under `key`, from `start` to before `end`. Raises: FileNotFoundError."""

    def borrow(self, key: str) -> AbstractAsyncContextManager[Path]:
        """Have the object as a local file for the length of a block, to read only. Raises: FileNotFoundError."""

    def find_local(self, key: str) -> Path | None:
        """Find the local file with the object, from which a download can be sent; None where it lies elsewhere."""

    async def delete(self, key: str) -> None:
        """Delete what is under `key`; does nothing where there is nothing."""

    def list_objects(self, prefix: str = "") -> AsyncIterator[ListedObject]:
        """List the objects whose keys begin with `prefix`, in no order; what comes or goes meanwhile may be missing.

        What is being written whole (`write`) is not listed, what grows by chunks (`append`) is.
        """

    async def delete_unfinished(self, *, before: datetime) -> int:
        """Delete what writes that broke off before a moment have left, as a killed process does; returns how many."""

    async def find_id(self) -> str | None:
        """Find the id of the place that this process sees; None where it has none: nothing was ever kept there."""

    async def create_id(self, storage_id: str) -> str:
        """Give the place its id; returns the one it has, where another process was quicker. Raises: OSError."""

    def close_to_others(self) -> None:
        """Take what is kept from everybody who has no business with it: earlier releases left it readable."""


async def one_chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content


@dataclass
class PieceWriter:
    """Gathers chunks into pieces and has each written in a thread while the next is received: one at a time, in order.

    `finish` writes the rest; a piece that could not be written raises at the next call. `size_bytes` is all that came.
    """

    write: Callable[[bytes], object]
    size_bytes: int = 0
    _gathered: list[bytes] = field(default_factory=list)
    _gathered_bytes: int = 0
    _writing: "asyncio.Future[object] | None" = None

    async def add(self, chunk: bytes) -> None:
        """Add a chunk; waits where the piece before is still being written. Raises: OSError."""
        self._gathered.append(chunk)
        self.size_bytes += len(chunk)
        self._gathered_bytes += len(chunk)
        if self._gathered_bytes >= PIECE_BYTES:
            await self.settle()
            self._writing = asyncio.ensure_future(asyncio.to_thread(self.write, self._take()))

    async def finish(self) -> None:
        """Write what is left. Raises: OSError."""
        await self.settle()
        if self._gathered_bytes:
            await asyncio.to_thread(self.write, self._take())

    async def settle(self) -> None:
        """Wait for the piece that is being written. Raises: OSError, where it could not be."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _take(self) -> bytes:
        piece = b"".join(self._gathered)
        self._gathered, self._gathered_bytes = [], 0
        return piece


async def digest_stream(chunks: AsyncIterator[bytes]) -> tuple[str, int]:
    """Compute the SHA-256 of a stream, in a thread, and its size in bytes."""
    digest = hashlib.sha256()
    writer = PieceWriter(digest.update)
    async for chunk in chunks:
        await writer.add(chunk)
    await writer.finish()
    return digest.hexdigest(), writer.size_bytes
