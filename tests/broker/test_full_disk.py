"""A full disk, a real one of a megabyte: a request gets 507 and leaves nothing, and a start says so in one line."""

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from broker.config import Settings
from broker.errors import DiskFull
from broker.persistence.embedded import find_reason, start_embedded_server
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.factories import Api, make_customer, make_ready_customer, submit_job, upload_dataset
from tests.broker.rows import read_everything
from tests.broker.test_bad_input import check_problem
from tests.broker.worker_calls import dispatched_worker

DISK_BYTES = 1 << 20
TOO_MUCH = b"x" * (2 * DISK_BYTES)


@pytest.fixture
def disk(server_folder: Path) -> Iterator[Path]:
    """Mount a small disk, which only root may."""
    server_folder.chmod(0o755)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", server_folder]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield server_folder
    finally:
        subprocess.run(["umount", "-l", server_folder], check=True)


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory, disk: Path) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"), storage_dir=disk / "objects", local_slots=0)


def list_files(disk: Path) -> list[str]:
    return sorted(str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file() and path.name != "fill")


async def test_data_set_that_finds_no_room_is_507_and_leaves_nothing(
    api: Api, urls: DatabaseUrls, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault: it was an unexpected error with a traceback."""
    customer = await make_customer(api)
    before, files = read_everything(urls), list_files(disk)
    row = b'{"prompt": "a", "completion": "' + b"tea " * 1000 + b'"}\n'
    content = row * (2 * DISK_BYTES // len(row))
    options = {"files": {"files": ("train.jsonl", content)}, "data": {"customer_id": customer["id"]}}
    problem = check_problem(await api.call("POST", "/datasets", **options), 507, None)
    assert problem["type"] == "/problems/storage-full"
    assert "freed space" in problem["detail"]
    assert (read_everything(urls), list_files(disk)) == (before, files)
    assert [record for record in caplog.records if record.exc_info] == []
    await upload_dataset(api, customer["id"])


async def test_upload_of_a_run_that_finds_no_room_is_507_and_may_be_sent_again(
    api: Api, app: FastAPI, system: System, disk: Path
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        sha256 = "0" * 64
        await worker.put(f"chunks/{sha256}", b"first", sha256=sha256, expect=200)
        files = list_files(disk)
        for path in ("checkpoints/5", "adapter", f"chunks/{sha256}?offset=5", f"chunks/{'1' * 64}"):
            response = await worker.put(path, TOO_MUCH, expect=507)
            assert response.json()["type"] == "/problems/storage-full"
            assert list_files(disk) == files, path
        assert (await worker.api.get(f"/runs/{worker.run_id}/chunks/{sha256}"))["received_bytes"] == 5
        await worker.put("checkpoints/5", b"small")
        await worker.put("adapter", safetensors_file())
        await worker.post("finish", outcome="succeeded")


def test_start_on_a_full_disk_says_so_once_and_at_once(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A past fault: it was tried for two minutes, five times a second, and wrote 29 MB of log."""
    with pytest.raises(DiskFull, match=r"No space left on device.*BROKER_DATA_DIR to a larger disk"):
        start_embedded_server(disk)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_reason_is_the_last_that_postgresql_gave() -> None:
    lines = [
        '2026-11-28 23:16:58 UTC [1] FATAL:  could not write lock file "postmaster.pid": No space left on device',
        "2026-11-28 23:16:59 UTC [2] LOG:  database system is ready",
        "pg_ctl: could not start server",
        'initdb: error: directory "/data" exists but is not empty',
    ]
    assert find_reason(lines) == 'directory "/data" exists but is not empty'
    assert find_reason(lines[:3]) == 'could not write lock file "postmaster.pid": No space left on device'
    assert find_reason(lines[1:3]) is None
