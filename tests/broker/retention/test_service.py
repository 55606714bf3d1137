"""What nobody needs is swept, by the rules of the settings; what anybody needs stays, whatever breaks off when."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from broker.config import Settings
from broker.metrics import Metrics
from broker.persistence import outbox
from broker.persistence.folder_storage import FolderStorage
from broker.persistence.storage import one_chunk
from broker.processes.boot import DatabaseUrls
from broker.retention.service import sweep, sweep_run_folders
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job, worker_api
from tests.broker.rows import owner_connection
from tests.broker.tenants import finish_job, put_bytes

Age = Callable[..., None]


@pytest.fixture
async def ready(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.fixture
def storage(system: System) -> FolderStorage:
    assert isinstance(system.services.storage, FolderStorage)
    return system.services.storage


@pytest.fixture
def age(storage: FolderStorage, clock: ManualClock) -> Age:
    """Make every file of the storage so old, by the test's clock."""

    def write_times(**duration: float) -> None:
        moment = (clock.now - timedelta(**duration)).timestamp()
        for path in storage.root.rglob("*"):
            os.utime(path, (moment, moment))

    return write_times


async def list_keys(storage: FolderStorage, prefix: str = "") -> list[str]:
    return sorted([listed.key async for listed in storage.list_objects(prefix)])


async def start_run(api: Api, system: System, ready: Customer) -> tuple[str, str]:
    job = (await submit_job(api, ready.dataset["id"], customer_id=ready.id))["id"]
    await dispatch(system)
    return job, (await api.get(f"/jobs/{job}/runs"))["data"][0]["id"]


async def upload_checkpoints(api: Api, system: System, run_id: str, steps: range) -> None:
    async with worker_api(api.app, system, run_id) as worker:
        await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1})
        for step in steps:
            await put_bytes(worker, f"/runs/{run_id}/checkpoints/{step}", f"state {step}".encode())


async def test_most_advanced_checkpoints_of_a_live_job_stay(
    api: Api, system: System, storage: FolderStorage, ready: Customer
) -> None:
    job, run_id = await start_run(api, system, ready)
    await upload_checkpoints(api, system, run_id, range(1, 8))
    await sweep(system)
    shown = [one["step"] for one in (await api.get(f"/jobs/{job}/checkpoints"))["data"]]
    assert shown == [7, 6, 5]
    kept = await list_keys(storage, "checkpoints/")
    assert [key.split("/")[-1][:13] for key in kept] == ["step-00000005", "step-00000006", "step-00000007"]
    async with worker_api(api.app, system, run_id) as worker:
        assert (await worker.call("GET", f"/runs/{run_id}/checkpoint", expect=200)).content == b"state 7"


async def test_checkpoints_of_a_job_that_is_over_go_after_their_days_and_its_adapter_stays(
    api: Api, system: System, storage: FolderStorage, ready: Customer, clock: ManualClock, urls: DatabaseUrls
) -> None:
    job = (await submit_job(api, ready.dataset["id"], customer_id=ready.id))["id"]
    await dispatch(system)
    await finish_job(api, system, job)
    clock.advance(days=6)
    await sweep(system)
    assert len(await list_keys(storage, "checkpoints/")) == 1
    clock.advance(days=2)
    await sweep(system)
    assert await list_keys(storage, "checkpoints/") == []
    assert len(await list_keys(storage, "adapters/")) == len(await list_keys(storage, "datasets/")) == 1
    with owner_connection(urls) as connection:
        rows = connection.execute("SELECT step FROM checkpoints WHERE deleted_at IS NOT NULL").fetchall()
    assert [row["step"] for row in rows] == [1], "which work was durable stays known"


async def test_files_without_a_row_go_once_they_are_older_than_any_upload_takes(
    system: System, storage: FolderStorage, ready: Customer, age: Age
) -> None:
    left = [
        "chunks/run_x/abc",
        "checkpoints/run_x/step-1-upl.tar",
        "adapters/run_x/upl.safetensors",
        "datasets/c/d.tar",
    ]
    for key in left:
        await storage.write(key, one_chunk(b"left"), max_bytes=10)
    await storage.write("elsewhere/of-another-feature", one_chunk(b"kept"), max_bytes=10)
    (storage.root / "datasets" / f".broken-off.{'0' * 16}").write_bytes(b"half")
    age(hours=47)
    await sweep(system)
    assert set(left) <= set(await list_keys(storage))
    age(hours=49)
    await sweep(system)
    assert not set(left) & set(await list_keys(storage))
    assert not list(storage.root.rglob(".broken-off*"))
    kept = await list_keys(storage)
    assert "elsewhere/of-another-feature" in kept
    assert [key for key in kept if key.startswith("datasets/")] == [f"datasets/{ready.id}/{ready.dataset['id']}.tar"]


async def test_file_of_a_deleted_data_set_goes_at_the_next_sweep_and_others_stay(
    api: Api, system: System, storage: FolderStorage, ready: Customer
) -> None:
    other = await make_ready_customer(api)
    await api.call("DELETE", f"/datasets/{ready.dataset['id']}", expect=204)
    await sweep(system)
    assert await list_keys(storage, "datasets/") == [f"datasets/{other.id}/{other.dataset['id']}.tar"]


async def test_sweep_that_was_killed_between_row_and_file_is_finished_by_the_next(
    api: Api, system: System, storage: FolderStorage, ready: Customer
) -> None:
    """The row is marked and committed first: what is referenced is never deleted, what is left over is found."""
    _job, run_id = await start_run(api, system, ready)
    await upload_checkpoints(api, system, run_id, range(1, 6))

    class Killed(FolderStorage):
        async def delete(self, key: str) -> None:  # noqa: ARG002 (the interface)
            raise KeyboardInterrupt

    dying = replace(system, services=replace(system.services, storage=Killed(storage.root)))
    with pytest.raises(KeyboardInterrupt):
        await sweep(dying)
    assert len(await list_keys(storage, "checkpoints/")) == 5
    await sweep(system)
    assert len(await list_keys(storage, "checkpoints/")) == 3


async def test_done_messages_go_and_those_that_wait_stay(
    system: System, clock: ManualClock, urls: DatabaseUrls
) -> None:
    async with system.work() as work:
        for run_id in ("run_done", "run_waiting"):
            await outbox.enqueue(work.session, recipient="x", kind="launch", run_id=run_id, now=work.now)
    now = system.services.now
    first, _ = outbox.read_pending(*await system.read([outbox.find_pending(["x"], now=now)]))
    await system.write([outbox.command_done([first.id], now=now)])
    clock.advance(days=8)
    await sweep(system)
    with owner_connection(urls) as connection:
        assert connection.execute("SELECT run_id FROM outbox").fetchall() == [{"run_id": "run_waiting"}]


async def test_what_was_swept_is_counted_for_every_process(
    api: Api, app: FastAPI, system: System, ready: Customer
) -> None:
    _job, run_id = await start_run(api, system, ready)
    await upload_checkpoints(api, system, run_id, range(1, 6))
    await sweep(system)
    await sweep(system)
    measured = Metrics(system)
    await measured.refresh()
    assert measured.registry.get_sample_value("broker_swept_total", {"kind": "checkpoints"}) == 2
    assert measured.registry.get_sample_value("broker_swept_bytes_total", {"kind": "files"}) == 2 * len("state 1")


@pytest.fixture
def runs_dir(settings: Settings) -> Path:
    return settings.runs_root


def make_folder(runs_dir: Path, run_id: str, *, written_at: datetime | None = None) -> Path:
    folder = runs_dir / run_id
    (folder / "work" / "output").mkdir(parents=True)
    (folder / "work" / "output" / "model.bin").write_bytes(b"x" * 1000)
    for name in ("run.json", "trainer.log", "run.lock"):
        (folder / name).write_text("{}")
        if written_at is not None:
            os.utime(folder / name, (written_at.timestamp(), written_at.timestamp()))
    return folder


async def test_folder_of_a_run_loses_its_work_after_a_day_and_its_log_after_a_month(
    api: Api, system: System, ready: Customer, clock: ManualClock, runs_dir: Path
) -> None:
    job, run_id = await start_run(api, system, ready)
    folder = make_folder(runs_dir, run_id)
    clock.advance(days=2)
    await sweep_run_folders(system, runs_dir)
    assert (folder / "work").is_dir(), "it has not ended"
    await finish_job(api, system, job)
    await sweep_run_folders(system, runs_dir)
    assert (folder / "work").is_dir()
    clock.advance(hours=25)
    await sweep_run_folders(system, runs_dir)
    assert sorted(path.name for path in folder.iterdir()) == ["run.json", "run.lock", "trainer.log"]
    clock.advance(days=30)
    await sweep_run_folders(system, runs_dir)
    assert not folder.exists()


async def test_folder_whose_process_still_lives_stays(
    api: Api, system: System, ready: Customer, clock: ManualClock, runs_dir: Path
) -> None:
    job, run_id = await start_run(api, system, ready)
    folder = make_folder(runs_dir, run_id)
    await finish_job(api, system, job)
    clock.advance(days=60)
    with (folder / "run.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await sweep_run_folders(system, runs_dir)
        assert (folder / "work").is_dir()
    await sweep_run_folders(system, runs_dir)
    assert not folder.exists()


async def test_folder_of_a_run_that_nobody_knows_goes_with_the_logs(
    system: System, clock: ManualClock, runs_dir: Path
) -> None:
    young = make_folder(runs_dir, "run_young", written_at=clock.now - timedelta(days=29))
    old = make_folder(runs_dir, "run_old", written_at=clock.now - timedelta(days=31))
    await sweep_run_folders(system, runs_dir)
    assert (young / "work").is_dir()
    assert not old.exists()


async def test_machine_without_a_run_has_nothing_to_sweep(system: System, runs_dir: Path) -> None:
    await sweep_run_folders(system, runs_dir)
