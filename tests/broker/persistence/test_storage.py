"""The folder of objects: whole or not at all, and nothing outside it."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.persistence.storage import FolderStorage, TooLarge, one_chunk


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "objects")


def list_files(storage: FolderStorage) -> list[str]:
    return sorted(str(path.relative_to(storage.root)) for path in storage.root.rglob("*") if path.is_file())


async def chunks(*parts: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


async def test_object_is_read_as_it_was_written(storage: FolderStorage) -> None:
    stored = await storage.write("a/b.tar", chunks(b"one", b"", b"two"), max_bytes=6)
    assert (stored.key, stored.size_bytes, stored.sha256) == ("a/b.tar", 6, hashlib.sha256(b"onetwo").hexdigest())
    assert await storage.read("a/b.tar") == b"onetwo"
    assert list_files(storage) == ["a/b.tar"]


async def test_stream_that_is_too_long_keeps_nothing(storage: FolderStorage) -> None:
    with pytest.raises(TooLarge, match="more than 5 bytes"):
        await storage.write("a", chunks(b"one", b"two"), max_bytes=5)
    assert list_files(storage) == []


async def test_stream_that_breaks_off_leaves_the_object_that_was_there(storage: FolderStorage) -> None:
    await storage.write("a", one_chunk(b"old"), max_bytes=10)
    with pytest.raises(ConnectionError):
        await storage.write("a", chunks(b"new", then=ConnectionError("gone")), max_bytes=10)
    assert await storage.read("a") == b"old"
    assert list_files(storage) == ["a"]


async def test_object_is_replaced_and_deleted_twice(storage: FolderStorage) -> None:
    await storage.write("a", one_chunk(b"old"), max_bytes=10)
    await storage.write("a", one_chunk(b"new"), max_bytes=10)
    assert await storage.read("a") == b"new"
    await storage.delete("a")
    await storage.delete("a")
    assert list_files(storage) == []


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/etc/passwd"])
async def test_key_that_leaves_the_folder_is_refused(storage: FolderStorage, key: str) -> None:
    with pytest.raises(ValueError, match="leaves the storage folder"):
        await storage.write(key, one_chunk(b"x"), max_bytes=10)
    with pytest.raises(ValueError, match="leaves the storage folder"):
        storage.local_path(key)
    assert not storage.root.exists()
