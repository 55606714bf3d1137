"""The storage as a folder that every process sees: files written aside, synced, renamed.

The folder has an id of its own, in a file: by it a process finds out that it looks at another folder than the first
process did, or at the empty mount point of one that is not there. Nobody but its owner may read it.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from broker.errors import FULL_ERRNOS
from broker.persistence.storage import (
    PIECE_BYTES,
    ListedObject,
    OffsetMismatch,
    Overtaken,
    PieceWriter,
    StoredObject,
    TooLarge,
)

SCRATCH = ".scratch"
LIST_BATCH = 500
OPEN_TRIES = 10
ID_FILE = ".storage-id"
OTHERS = 0o007  # the permission bits of those who are neither the owner nor of its group


@dataclass(frozen=True)
class FolderStorage:
    """Objects as files below one folder, local or shared; written aside, synced, renamed."""

    root: Path

    @property
    def scratch(self) -> Path:
        return make_scratch(self.root / SCRATCH)

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        path = self.local_path(key)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            stored = await self._write_aside(key, aside, chunks, max_bytes)
            await asyncio.to_thread(aside.rename, path)
        finally:
            await asyncio.to_thread(aside.unlink, missing_ok=True)
        return stored

    async def _write_aside(self, key: str, aside: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> StoredObject:
        digest = hashlib.sha256()
        async with opened_private(aside) as file:

            def keep(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            writer = PieceWriter(keep)
            try:
                async for chunk in chunks:
                    if writer.size_bytes + len(chunk) > max_bytes:
                        raise TooLarge(f"more than {max_bytes} bytes")
                    await writer.add(chunk)
            finally:
                await writer.finish()
            await asyncio.to_thread(_sync, file)
        return StoredObject(key, writer.size_bytes, digest.hexdigest())

    async def adopt(self, key: str, path: Path) -> None:
        await asyncio.to_thread(self._adopt, key, path)

    def _adopt(self, key: str, path: Path) -> None:
        target = self.local_path(key)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        os.utime(path)  # it may have been checked for long since it was written, and has no row yet: no sweep takes it
        for tries_left in reversed(range(OPEN_TRIES)):
            _make_private_folder(target.parent)
            try:
                path.rename(target)
            except FileNotFoundError:  # a folder on the way was empty, and deleted in this moment
                if not tries_left:
                    raise
            else:
                return

    async def append(
        self, key: str, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, is_whole: bool = False
    ) -> int:
        path = self.local_path(key)
        size_bytes = await self.size(key)
        if offset > size_bytes:
            raise OffsetMismatch(size_bytes)
        try:
            return await _write_from(path, offset, chunks, max_bytes)
        except Overtaken:
            raise
        except BaseException as error:
            is_full = isinstance(error, OSError) and error.errno in FULL_ERRNOS
            if is_full or is_whole:  # give the room back: the same chunk may be sent again later
                await asyncio.to_thread(self._cut_back, path, offset)
            raise

    def _cut_back(self, path: Path, size_bytes: int) -> None:
        if size_bytes:
            os.truncate(path, size_bytes)
        else:
            self._delete(path)

    async def size(self, key: str) -> int:
        path = self.local_path(key)
        return await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else 0)

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        path = self.local_path(key)
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(start)
            left = path.stat().st_size - start if end is None else end - start
            while left > 0 and (piece := await asyncio.to_thread(file.read, min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return await asyncio.to_thread(_read, self.local_path(key), start, end)

    @asynccontextmanager
    async def borrow(self, key: str) -> AsyncIterator[Path]:
        yield self.local_path(key)

    def find_local(self, key: str) -> Path | None:
        return self.local_path(key)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, self.local_path(key))

    def _delete(self, path: Path) -> None:
        """Delete a file, and the folders that are empty without it."""
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or another object was put there just now
            while (path := path.parent) != self.root.resolve():
                path.rmdir()

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ListedObject]:
        files = self._walk(prefix, unfinished=False)
        while batch := await asyncio.to_thread(_take, files):
            for listed in batch:
                yield listed

    async def delete_unfinished(self, *, before: datetime) -> int:
        return await asyncio.to_thread(self._delete_unfinished, before)

    def _delete_unfinished(self, before: datetime) -> int:
        left = [found for found in self._walk("", unfinished=True) if found.modified_at < before]
        for found in left:
            self._delete(self.local_path(found.key))
        return len(left)

    def _walk(self, prefix: str, *, unfinished: bool) -> Iterator[ListedObject]:
        """Walk over the objects, or over what is being written aside; a hidden name is no object's."""
        root = self.root.resolve()
        for folder, _folders, names in os.walk(self.local_path(prefix.rpartition("/")[0])):
            for name in names:
                path = Path(folder, name)
                key = str(path.relative_to(root))
                if name != ID_FILE and name.startswith(".") == unfinished and key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):
                        found = path.stat()
                        yield ListedObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    async def find_id(self) -> str | None:
        return await asyncio.to_thread(self._find_id)

    def _find_id(self) -> str | None:
        try:
            return (self.root / ID_FILE).read_text().strip() or None
        except FileNotFoundError:
            return None

    async def create_id(self, storage_id: str) -> str:
        return await asyncio.to_thread(self._create_id, storage_id)

    def _create_id(self, storage_id: str) -> str:
        _make_private_folder(self.root)
        aside = self.root / f"{ID_FILE}.{secrets.token_hex(4)}"
        try:
            with open_private(aside) as file:
                file.write(storage_id.encode() + b"\n")
            with contextlib.suppress(FileExistsError):  # another process was quicker: its id is the one
                os.link(aside, self.root / ID_FILE)
        finally:
            aside.unlink(missing_ok=True)
        return self._find_id() or storage_id

    def close_to_others(self) -> None:
        """Take the folder from those who are neither its owner nor of its group."""
        with contextlib.suppress(FileNotFoundError, PermissionError):
            mode = self.root.stat().st_mode
            if mode & OTHERS:
                self.root.chmod(mode & 0o7777 & ~OTHERS)

    def local_path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ValueError(f"storage key {key!r} leaves the storage folder")
        return path


async def _write_from(path: Path, offset: int, chunks: AsyncIterator[bytes], max_bytes: int) -> int:
    """Write a file from `offset` on; returns its new size. What has come is written even where more does not come.

    Raises: TooLarge; Overtaken, and nothing is written then that was not before.
    """
    async with opened_private(path) as file:
        file.truncate(offset)
        file.seek(offset)
        writer = PieceWriter(file.write, offset)
        try:
            await _add_all(writer, chunks, max_bytes)
        except Overtaken:
            await writer.settle()
            raise
        except BaseException:
            await writer.finish()
            raise
        await writer.finish()
        await asyncio.to_thread(_sync, file)
        return writer.size_bytes


async def _add_all(writer: PieceWriter, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
    async for chunk in chunks:
        if writer.size_bytes + len(chunk) > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes")
        await writer.add(chunk)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _read(path: Path, start: int, end: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read() if end is None else file.read(end - start)


def make_scratch(folder: Path) -> Path:
    """Make a folder for what is put together, for its owner alone."""
    _make_private_folder(folder)
    return folder


@asynccontextmanager
async def opened_private(path: Path) -> AsyncIterator[BinaryIO]:
    """Open a file as `open_private` does, in a thread, for as long as the block lasts.

    Who is cancelled meanwhile, since its client is gone, never sees the file: it is closed once it is open.
    """
    opening = asyncio.get_running_loop().run_in_executor(None, open_private, path)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)
        raise
    with file:
        yield file


def _close_opened(opening: "asyncio.Future[BinaryIO]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def open_private(path: Path) -> BinaryIO:
    """Open a file for writing that nobody but its owner reads (0600, in folders of 0700), and keep what is in it."""
    for tries_left in reversed(range(OPEN_TRIES)):
        try:
            _make_private_folder(path.parent)
            return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except FileNotFoundError:  # a folder on the way was empty, and deleted in this moment
            if not tries_left:
                raise
    raise AssertionError


def _make_private_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each for its owner alone; one that is there stays as it is."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def _take(files: Iterator[ListedObject]) -> list[ListedObject]:
    return list(itertools.islice(files, LIST_BATCH))
