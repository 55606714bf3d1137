"""The storage in a bucket, by the same code as in a folder: moto's server stands for S3."""

import asyncio
import hashlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from benchmarks.waiting import wait_until_answers
from broker.client.rest import Client
from broker.config import Settings
from broker.persistence import s3_storage
from broker.persistence.s3_storage import S3Storage
from broker.persistence.storage import OffsetMismatch, Overtaken, TooLarge, one_chunk
from broker.storage_choice import open_storage
from tests.broker.factories import CONFIG, SIGNED_AT, jsonl
from tests.broker.served import ServedBroker, fake_trainer, follow_job
from tests.clients.conftest import FOLDER

SERVER = FOLDER / "uploads" / "bin" / "moto_server"
pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="moto is not installed: tests/clients/install")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Serve S3 on a port of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [SERVER, "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_until_answers(url)
        yield url
        server.terminate()


def settings_of(endpoint: str, folder: Path) -> dict[str, str]:
    bucket = f"b{os.urandom(6).hex()}"
    httpx.put(f"{endpoint}/{bucket}").raise_for_status()
    return {"storage_url": f"s3://{bucket}/lora", "s3_endpoint": endpoint, "s3_region": "us-east-1"}


@pytest.fixture
def storage(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Storage:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_storage, "PART_BYTES", 10)
    opened = open_storage(Settings(data_dir=tmp_path, **settings_of(endpoint, tmp_path)))  # type: ignore[arg-type]
    assert isinstance(opened, S3Storage)
    return opened


async def chunks(*parts: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


async def read_all(storage: S3Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in storage.stream(key, start, end)])


async def list_keys(storage: S3Storage, prefix: str = "") -> list[tuple[str, int]]:
    return sorted([(found.key, found.size_bytes) async for found in storage.list_objects(prefix)])


async def test_object_is_read_as_it_was_written(storage: S3Storage) -> None:
    stored = await storage.write("a/b.tar", chunks(b"one", b"", b"two"), max_bytes=6)
    assert (stored.key, stored.size_bytes, stored.sha256) == ("a/b.tar", 6, hashlib.sha256(b"onetwo").hexdigest())
    assert await storage.read("a/b.tar") == await read_all(storage, "a/b.tar") == b"onetwo"
    assert await storage.read("a/b.tar", 2, 5) == await read_all(storage, "a/b.tar", 2, 5) == b"etw"
    assert await storage.size("a/b.tar") == 6
    assert list(storage.scratch.iterdir()) == []


async def test_stream_that_is_too_long_or_breaks_off_leaves_what_was_there(storage: S3Storage) -> None:
    await storage.write("a", one_chunk(b"old"), max_bytes=10)
    with pytest.raises(TooLarge):
        await storage.write("a", chunks(b"one", b"two"), max_bytes=5)
    with pytest.raises(ConnectionError):
        await storage.write("a", chunks(b"new", then=ConnectionError("gone")), max_bytes=10)
    assert await storage.read("a") == b"old"
    await storage.delete("a")
    await storage.delete("a")
    assert await list_keys(storage) == []
    assert await storage.size("a") == 0
    assert await read_all(storage, "a") == b""
    with pytest.raises(FileNotFoundError):
        await storage.read("a")
    with pytest.raises(FileNotFoundError):
        async with storage.borrow("a"):
            pass


async def test_what_grows_by_chunks_is_one_object_to_everybody(storage: S3Storage) -> None:
    content = bytes(range(45))
    assert await storage.append("c/x", 0, chunks(content[:25]), max_bytes=45) == 25
    with pytest.raises(ConnectionError):
        await storage.append("c/x", 25, chunks(content[25:40], then=ConnectionError("gone")), max_bytes=45)
    assert await storage.size("c/x") == 40, "what has come of a piece stays"
    with pytest.raises(OffsetMismatch, match="40 bytes are there"):
        await storage.append("c/x", 41, chunks(b"x"), max_bytes=45)
    assert await storage.append("c/x", 33, chunks(content[33:]), max_bytes=45) == 45, "over what was there"
    assert await read_all(storage, "c/x") == content
    assert await read_all(storage, "c/x", 7, 31) == content[7:31]
    assert await list_keys(storage, "c/") == [("c/x", 45)]
    async with storage.borrow("c/x") as path:
        assert path.read_bytes() == content
    await storage.delete("c/x")
    assert await list_keys(storage) == []


async def test_piece_that_is_to_be_whole_is_taken_back(storage: S3Storage) -> None:
    await storage.append("c/x", 0, chunks(b"first "), max_bytes=100)
    broken = chunks(b"second and more, ", b"much more", then=ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await storage.append("c/x", 6, broken, max_bytes=100, is_whole=True)
    assert await read_all(storage, "c/x") == b"first "


async def test_writer_that_was_overtaken_takes_nothing_back(storage: S3Storage) -> None:
    async def be_overtaken() -> AsyncIterator[bytes]:
        yield b"XXX"
        await storage.append("c/x", 6, chunks(b"second"), max_bytes=100)
        raise Overtaken

    await storage.append("c/x", 0, chunks(b"first "), max_bytes=100)
    with pytest.raises(Overtaken):
        await storage.append("c/x", 6, be_overtaken(), max_bytes=100, is_whole=True)
    assert await read_all(storage, "c/x") == b"first second"


async def test_copies_go_when_their_room_is_needed(storage: S3Storage) -> None:
    storage = S3Storage(storage.store, storage.local, copies_bytes=10)
    for key in ("a", "b"):
        await storage.write(key, one_chunk(key.encode() * 8), max_bytes=10)
    async with storage.borrow("a") as first, storage.borrow("b") as second:
        assert [path.name for path in (storage.local / "copies").iterdir()] == ["b"]
        assert (first.read_bytes(), second.read_bytes()) == (b"a" * 8, b"b" * 8), "who has borrowed one keeps it"
    assert list(storage.scratch.iterdir()) == []


async def test_finished_file_is_taken_over_and_others_of_the_scratch_go_when_old(storage: S3Storage) -> None:
    for name in (".done", ".left"):
        (storage.scratch / name).write_bytes(b"x")
    await storage.adopt("d", storage.scratch / ".done")
    assert await storage.read("d") == b"x"
    assert await storage.delete_unfinished(before=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await storage.delete_unfinished(before=datetime.now(UTC) + timedelta(hours=1)) == 1


async def test_first_process_gives_the_place_its_id(storage: S3Storage) -> None:
    assert await storage.find_id() is None
    given = await asyncio.gather(*(storage.create_id(f"sto_{number}") for number in range(3)))
    assert set(given) == {await storage.find_id()}
    assert await list_keys(storage) == []


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/etc/passwd"])
async def test_key_that_leaves_the_prefix_is_refused(storage: S3Storage, key: str) -> None:
    with pytest.raises(ValueError, match="leaves the storage folder"):
        await storage.write(key, one_chunk(b"x"), max_bytes=10)


def test_a_job_is_trained_from_a_bucket_and_its_adapter_downloaded_in_ranges(endpoint: str, tmp_path: Path) -> None:
    settings = {"trainer_command": fake_trainer(beats=2), "local_slots": "1", **settings_of(endpoint, tmp_path)}
    broker = ServedBroker(tmp_path / "data", settings)
    data = tmp_path / "tea.jsonl"
    data.write_bytes(jsonl())
    with pytest.MonkeyPatch.context() as patched:
        for name, value in KEYS.items():
            patched.setenv(name, value)
        broker.start()
    try:
        with Client(broker.url, broker.admin_key()) as admin:
            customer = admin.post("/customers", {"name": "Acme Tea"})["id"]
            admin.post("/contracts", {"customer_id": customer, "plan": "on_demand", "starts_at": SIGNED_AT})
            key = admin.post(f"/customers/{customer}/api-keys", {"name": "own"})["key"]
        with Client(broker.url, key) as own:
            dataset = own.upload_dataset([data])["id"]
            job = follow_job(own, own.post("/jobs", {"config": CONFIG, "dataset_id": dataset})["id"])
            assert job["status"] == "succeeded"
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{broker.url}/v1/adapters/{job['adapter_id']}/download"
        whole = httpx.get(url, headers=headers)
        assert hashlib.sha256(whole.content).hexdigest() == whole.headers["x-content-sha256"]
        part = httpx.get(url, headers=headers | {"Range": "bytes=3-9"})
        assert (part.status_code, part.content) == (206, whole.content[3:10])
        assert part.headers["content-range"] == f"bytes 3-9/{len(whole.content)}"
        one = httpx.get(f"{broker.url}/v1/datasets/{dataset}/file", params={"name": "tea.jsonl"}, headers=headers)
        assert one.content == jsonl()
    finally:
        broker.close()
    assert not (tmp_path / "data" / "objects").exists()
