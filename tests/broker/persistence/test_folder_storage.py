"""The folder of objects: whole or not at all, and nothing outside it."""

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import BinaryIO

import pytest

from broker.persistence import folder_storage
from broker.persistence.folder_storage import FolderStorage, open_private
from broker.persistence.storage import TooLarge, one_chunk
from tests.broker.waiting import until


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


async def test_file_that_opens_once_nobody_waits_for_it_any_more_is_closed(
    storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A past fault: it stayed open until the garbage was collected, for each client that broke off in that moment."""
    begun, may_open, files = Event(), Event(), list[BinaryIO]()

    def open_late(path: Path) -> BinaryIO:
        begun.set()
        may_open.wait(60)
        files.append(open_private(path))
        return files[-1]

    monkeypatch.setattr(folder_storage, "open_private", open_late)
    writing = asyncio.create_task(storage.write("a", one_chunk(b"new"), max_bytes=10))
    await asyncio.to_thread(begun.wait)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    may_open.set()
    await until(lambda: bool(files) and files[0].closed)


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


async def list_keys(storage: FolderStorage, prefix: str = "") -> list[str]:
    return sorted([found.key async for found in storage.list_objects(prefix)])


async def test_objects_are_listed_by_the_beginning_of_their_keys(storage: FolderStorage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    for key in ("chunks/run_1/a", "chunks/run_12/b", "adapters/c", "chunks"):
        await storage.write(f"x/{key}" if key == "chunks" else key, one_chunk(b"12345"), max_bytes=10)
    assert await list_keys(storage) == ["adapters/c", "chunks/run_1/a", "chunks/run_12/b", "x/chunks"]
    assert await list_keys(storage, "chunks/run_1") == ["chunks/run_1/a", "chunks/run_12/b"]
    assert await list_keys(storage, "chunks/run_1/") == ["chunks/run_1/a"]
    assert await list_keys(storage, "nothing/there") == []
    (listed,) = [found async for found in storage.list_objects("adapters/")]
    assert listed.size_bytes == 5
    assert before < listed.modified_at <= datetime.now(UTC) + timedelta(seconds=2)


async def test_key_outside_the_folder_is_not_listed(storage: FolderStorage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(ValueError, match="leaves the storage folder"):
        await list_keys(storage, "../")


async def test_last_object_of_a_folder_takes_the_folder_along(storage: FolderStorage) -> None:
    """Empty folders of ended runs stayed for ever."""
    for key in ("chunks/run_1/a", "chunks/run_1/b"):
        await storage.write(key, one_chunk(b"x"), max_bytes=10)
    await storage.delete("chunks/run_1/a")
    assert await list_keys(storage) == ["chunks/run_1/b"]
    await storage.delete("chunks/run_1/b")
    assert list(storage.root.iterdir()) == []
    await storage.write("chunks/run_1/a", one_chunk(b"x"), max_bytes=10)
    assert await list_keys(storage) == ["chunks/run_1/a"]


async def test_writes_and_deletes_side_by_side_lose_no_object(storage: FolderStorage) -> None:
    """A folder that is deleted because it is empty may be the one that another write needs just now."""

    async def come_and_go(number: int) -> None:
        for _ in range(20):
            await storage.write(f"a/b/{number}", one_chunk(b"x"), max_bytes=10)
            await storage.delete(f"a/b/{number}")
        await storage.write(f"a/b/{number}", one_chunk(b"x"), max_bytes=10)

    await asyncio.gather(*(come_and_go(number) for number in range(4)))
    assert await list_keys(storage) == [f"a/b/{number}" for number in range(4)]


async def test_what_a_killed_write_left_is_not_listed_and_goes_when_it_is_old(storage: FolderStorage) -> None:
    await storage.write("a/b", one_chunk(b"x"), max_bytes=10)
    await storage.create_id("sto_1")
    left = storage.root / "a" / ".b.0123456789abcdef"
    left.write_bytes(b"half")
    assert await list_keys(storage) == ["a/b"]
    now = datetime.now(UTC)
    assert await storage.delete_unfinished(before=now - timedelta(hours=1)) == 0
    assert await storage.delete_unfinished(before=now + timedelta(hours=1)) == 1
    assert list_files(storage) == [".storage-id", "a/b"]


async def test_nobody_but_the_owner_reads_what_is_kept(storage: FolderStorage) -> None:
    """A past fault: data sets and adapters of customers were readable by every user of the machine."""
    await storage.write("a/b", one_chunk(b"x"), max_bytes=10)
    await storage.append("c/d", 0, one_chunk(b"x"), max_bytes=10)
    await storage.create_id("sto_1")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in storage.root.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [storage.root, *storage.root.rglob("*")] if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


async def test_folder_of_an_earlier_release_is_closed_to_others_and_stays_open_to_its_group(
    storage: FolderStorage,
) -> None:
    storage.root.mkdir(mode=0o775)
    storage.root.chmod(0o775)
    storage.close_to_others()
    assert stat.S_IMODE(storage.root.stat().st_mode) == 0o770


async def test_place_keeps_the_id_that_it_got_first(storage: FolderStorage) -> None:
    assert await storage.find_id() is None
    assert await storage.create_id("sto_1") == "sto_1"
    assert await storage.create_id("sto_2") == "sto_1"
    assert await FolderStorage(storage.root).find_id() == "sto_1"
    assert await list_keys(storage) == []
