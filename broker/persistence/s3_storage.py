"""The storage as a bucket of S3, or of what speaks like it: nothing is kept on this machine but copies.

What grows by chunks is kept as parts beside one another, since S3 appends to nothing; a part is named by its first
byte. What is read as a file is fetched once, and its copy stays until the room for copies is needed.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store

from broker.persistence.folder_storage import ID_FILE, FolderStorage, make_scratch
from broker.persistence.storage import PIECE_BYTES, ListedObject, OffsetMismatch, Overtaken, StoredObject, TooLarge

if TYPE_CHECKING:
    from obstore import ObjectMeta

PART_BYTES = 8 << 20
PARTS = ".parts/"
COPIES = "copies"
LIST_BATCH = 1000
LONGEST_MESSAGE = 300


class BucketUnusable(OSError):
    """The bucket refused, or could not be reached; the message says what it answered."""


@contextmanager
def _told() -> Iterator[None]:
    """Tell what a bucket refuses as an error of files, which everybody expects of a storage. Raises: OSError."""
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError(str(error)) from error
    except BaseError as error:
        raise BucketUnusable(_shorten(error)) from error


def _shorten(error: BaseError) -> str:
    """Shorten what obstore says to its first line: the rest is the whole answer, as a debugger writes it."""
    return str(error).partition("\n")[0][:LONGEST_MESSAGE]


@dataclass(frozen=True)
class _Part:
    """A part of what grows: its key, its first byte, its size in bytes, and when it was written."""

    key: str
    start: int
    size_bytes: int


@dataclass(frozen=True)
class S3Storage:
    """Objects of one bucket, below a prefix that `store` knows; `local` is a folder of this machine for copies."""

    store: S3Store
    local: Path
    copies_bytes: int

    @property
    def scratch(self) -> Path:
        return make_scratch(self.local / "scratch")

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        name = f".{secrets.token_hex(8)}"
        aside = FolderStorage(self.scratch)
        try:
            stored = await aside.write(name, chunks, max_bytes=max_bytes)
            await self._put(key, aside.local_path(name))
        finally:
            await aside.delete(name)
        return StoredObject(_check_key(key), stored.size_bytes, stored.sha256)

    async def adopt(self, key: str, path: Path) -> None:
        await self._put(key, path)
        await asyncio.to_thread(path.unlink)

    async def _put(self, key: str, content: Path | bytes) -> None:
        with _told():
            await obstore.put_async(self.store, _check_key(key), content)

    async def append(
        self, key: str, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int, is_whole: bool = False
    ) -> int:
        await self._cut_back(key, offset)
        size_bytes, gathered = offset, bytearray()

        async def keep() -> None:
            nonlocal size_bytes
            await self._put(_name_part(key, size_bytes), bytes(gathered))
            size_bytes += len(gathered)
            gathered.clear()

        try:
            try:
                async for chunk in chunks:
                    if size_bytes + len(gathered) + len(chunk) > max_bytes:
                        raise TooLarge(f"more than {max_bytes} bytes")
                    gathered += chunk
                    if len(gathered) >= PART_BYTES:
                        await keep()
            except Overtaken:
                gathered.clear()
                raise
            finally:
                if gathered:
                    await keep()
        except Overtaken:
            raise
        except BaseException:
            if is_whole:
                await self._cut_back(key, offset)
            raise
        return size_bytes

    async def _cut_back(self, key: str, size_bytes: int) -> None:
        """Cut what grows back to a size. Raises: OffsetMismatch, where it is less."""
        parts = await self._list_parts(key)
        is_there = sum(part.size_bytes for part in parts)
        if size_bytes > is_there:
            raise OffsetMismatch(is_there)
        for part in parts:
            if part.start < size_bytes < part.start + part.size_bytes:
                await self._put(part.key, await self._get(part.key, 0, size_bytes - part.start))
        await self._delete_all([part.key for part in parts if part.start >= size_bytes])

    async def _list_parts(self, key: str) -> list[_Part]:
        """List the parts that follow one another from the first byte on."""
        found = [meta async for meta in self._list(_check_key(key) + PARTS)]
        parts, end = list[_Part](), 0
        for meta in sorted(found, key=lambda meta: meta["path"]):
            part = _Part(meta["path"], int(meta["path"].rpartition("/")[2]), meta["size"])
            if part.start != end:
                break
            parts.append(part)
            end += part.size_bytes
        return parts

    async def _list(self, prefix: str) -> AsyncIterator["ObjectMeta"]:
        """List what lies below a prefix, which for S3 ends where a name does."""
        folder = prefix.rpartition("/")[0]
        with _told():
            async for batch in obstore.list(self.store, folder or None, chunk_size=LIST_BATCH):
                for meta in batch:
                    if meta["path"].startswith(prefix):
                        yield meta

    async def size(self, key: str) -> int:
        with contextlib.suppress(FileNotFoundError), _told():
            return int((await obstore.head_async(self.store, _check_key(key)))["size"])
        return sum(part.size_bytes for part in await self._list_parts(key))

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        size_bytes = await self.size(key)
        end = size_bytes if end is None else min(end, size_bytes)
        for part in await self._list_parts(key) or [_Part(_check_key(key), 0, size_bytes)]:
            first, last = max(start - part.start, 0), min(end - part.start, part.size_bytes)
            if first < last:
                async for piece in self._stream_object(part.key, first, last):
                    yield piece

    async def _stream_object(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        with _told():
            got = await obstore.get_async(self.store, key, options={"range": (start, end)})
            async for piece in got.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if end is None:
            return await self._get(_check_key(key), start, None)
        return await self._get(_check_key(key), start, min(end, await self.size(key)))

    async def _get(self, key: str, start: int, end: int | None) -> bytes:
        options: Any = {"range": {"offset": start} if end is None else (start, end)} if start or end else {}
        with _told():
            return bytes(await (await obstore.get_async(self.store, key, options=options)).bytes_async())

    @asynccontextmanager
    async def borrow(self, key: str) -> AsyncIterator[Path]:
        copy = make_scratch(self.local / COPIES) / _check_key(key).replace("/", ":")
        lent = self.scratch / f".{secrets.token_hex(8)}"  # stays when the copy's room is needed
        try:
            if not await asyncio.to_thread(_lend, copy, lent):
                await self._fetch(key, lent)
                await asyncio.to_thread(_keep_copy, lent, copy)
                await asyncio.to_thread(self._make_room, copy)
            yield lent
        finally:
            await asyncio.to_thread(lent.unlink, missing_ok=True)

    async def _fetch(self, key: str, target: Path) -> None:
        if await self.size(key) == 0:
            raise FileNotFoundError(f"nothing is under {key}")
        aside = FolderStorage(target.parent)
        await aside.append(target.name, 0, self.stream(key), max_bytes=1 << 62)

    def _make_room(self, newest: Path) -> None:
        """Delete copies, those first that were used longest ago, until the rest has room; never the newest."""
        copies = sorted(_list_files(self.local / COPIES), key=lambda found: found[1].st_mtime)
        taken = sum(found.st_size for _path, found in copies)
        for path, found in copies:
            if taken > self.copies_bytes and path != newest:
                path.unlink(missing_ok=True)
                taken -= found.st_size

    def find_local(self, key: str) -> Path | None:
        _check_key(key)
        return None

    async def delete(self, key: str) -> None:
        await self._delete_all([_check_key(key), *(part.key for part in await self._list_parts(key))])

    async def _delete_all(self, keys: Sequence[str]) -> None:
        if keys:
            with contextlib.suppress(FileNotFoundError), _told():
                await obstore.delete_async(self.store, list(keys))

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ListedObject]:
        found = [meta async for meta in self._list(prefix) if meta["path"] != ID_FILE]
        for key, metas in groupby(sorted(found, key=_name_whole), key=_name_whole):
            same = list(metas)
            newest = max(meta["last_modified"] for meta in same)
            yield ListedObject(key, sum(meta["size"] for meta in same), newest)

    async def delete_unfinished(self, *, before: datetime) -> int:
        return await asyncio.to_thread(self._delete_unfinished, before)

    def _delete_unfinished(self, before: datetime) -> int:
        files = _list_files(self.scratch)
        left = [path for path, found in files if datetime.fromtimestamp(found.st_mtime, UTC) < before]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    async def find_id(self) -> str | None:
        try:
            return (await self._get(ID_FILE, 0, None)).decode().strip() or None
        except FileNotFoundError:
            return None

    async def create_id(self, storage_id: str) -> str:
        with contextlib.suppress(AlreadyExistsError):  # another process was quicker: its id is the one
            try:
                await obstore.put_async(self.store, ID_FILE, storage_id.encode() + b"\n", mode="create")
            except AlreadyExistsError:
                raise
            except BaseError as error:
                raise BucketUnusable(_shorten(error)) from error
        return await self.find_id() or storage_id

    def close_to_others(self) -> None:
        """Leave the bucket as it is: who may read it is for its owner to say."""


def _check_key(key: str) -> str:
    if key.startswith("/") or ".." in key.split("/"):
        raise ValueError(f"storage key {key!r} leaves the storage folder")
    return key


def _name_part(key: str, start: int) -> str:
    return f"{key}{PARTS}{start:020d}"


def _name_whole(meta: "ObjectMeta") -> str:
    whole, parts, _start = meta["path"].rpartition(PARTS)
    return whole if parts else meta["path"]


def _lend(copy: Path, lent: Path) -> bool:
    """Give a copy another name, and note that it is used; returns whether there is one."""
    try:
        os.link(copy, lent)
    except FileNotFoundError:
        return False
    os.utime(lent)
    return True


def _keep_copy(lent: Path, copy: Path) -> None:
    with contextlib.suppress(FileExistsError):  # another borrower was quicker
        os.link(lent, copy)


def _list_files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found = list[tuple[Path, os.stat_result]]()
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            found.append((path, path.stat()))
    return found
