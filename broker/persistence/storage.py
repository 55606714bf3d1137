"""Where datasets, checkpoints and adapters lie, as everybody sees it: one small interface (`folder_storage.py`)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


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


class Storage(Protocol):
    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        """Keep a stream under `key`, whole or not at all. Raises: TooLarge."""

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int) -> int:
        """Write a chunk of `key` from `offset` on, over what a broken-off chunk may have left; returns the new size.

        Raises: TooLarge; OffsetMismatch, where less than `offset` bytes are there.
        """

    async def size(self, key: str) -> int:
        """Tell the size of what is under `key`, in bytes; 0 where there is nothing."""

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Stream the bytes under `key`; none where there is nothing."""

    async def read(self, key: str) -> bytes: ...

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

    def local_path(self, key: str) -> Path:
        """Tell the path of a local file with the object, from which a download can be streamed."""


async def one_chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content
