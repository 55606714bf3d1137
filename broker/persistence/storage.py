"""Where datasets, checkpoints and adapters lie: one small interface, and the folder under the data directory."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    key: str
    size_bytes: int
    sha256: str


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

    async def delete(self, key: str) -> None: ...

    def local_path(self, key: str) -> Path:
        """Tell the path of a local file with the object, from which a download can be streamed."""


@dataclass(frozen=True)
class FolderStorage:
    """Objects as files below one folder; written aside, synced, renamed."""

    root: Path

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        path = self.local_path(key)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            stored = await self._write_aside(key, aside, chunks, max_bytes)
            await asyncio.to_thread(aside.rename, path)
        finally:
            await asyncio.to_thread(aside.unlink, missing_ok=True)
        return stored

    async def _write_aside(self, key: str, aside: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> StoredObject:
        digest, size_bytes = hashlib.sha256(), 0
        with aside.open("wb") as file:
            async for chunk in chunks:
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise TooLarge(f"more than {max_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        return StoredObject(key, size_bytes, digest.hexdigest())

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int) -> int:
        path = self.local_path(key)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        size_bytes = await self.size(key)
        if offset > size_bytes:
            raise OffsetMismatch(size_bytes)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.truncate(offset)
            file.seek(offset)
            async for chunk in chunks:
                if file.tell() + len(chunk) > max_bytes:
                    raise TooLarge(f"more than {max_bytes} bytes")
                file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
            return file.tell()

    async def size(self, key: str) -> int:
        path = self.local_path(key)
        return await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else 0)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        path = self.local_path(key)
        if not path.exists():
            return
        with path.open("rb") as file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    async def read(self, key: str) -> bytes:
        return await asyncio.to_thread(self.local_path(key).read_bytes)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self.local_path(key).unlink, missing_ok=True)

    def local_path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ValueError(f"storage key {key!r} leaves the storage folder")
        return path


async def one_chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content
