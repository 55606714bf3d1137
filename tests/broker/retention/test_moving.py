"""What is stored is copied to another place with every hash checked; started anew, the copy goes on."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI

from broker.errors import OperatorError
from broker.persistence.folder_storage import FolderStorage
from broker.persistence.storage import ListedObject, StoredObject, one_chunk
from broker.retention.moving import CopyReport, copy_storage
from broker.system import System
from tests.broker.factories import Api, customer_api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


class BreakingStorage(FolderStorage):
    """A place that cannot be reached any more once it has some objects."""

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        if len([each async for each in self.list_objects()]) >= 2:
            raise ConnectionError("the line is cut")
        return await super().write(key, chunks, max_bytes=max_bytes)


@pytest.fixture
async def filled(api: Api, app: FastAPI, system: System) -> dict[str, bytes]:
    """Have a data set, a checkpoint, an adapter and an upload that is half there; returns them by their keys."""
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.put("checkpoints/5", b"state")
        await worker.finish("succeeded")
    async with customer_api(api, customer.id) as own:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "12"}
        place = (await own.call("POST", "/uploads", headers=headers, expect=201)).json()["id"]
        piece = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream", **headers}
        await own.call("PATCH", f"/uploads/{place}", content=b"first ", headers=piece, expect=204)
    storage = system.services.storage
    await storage.create_id("sto_own")
    kept = {listed.key: await storage.read(listed.key) async for listed in storage.list_objects()}
    assert sorted(key.partition("/")[0] for key in kept) == ["adapters", "checkpoints", "datasets", "uploads"]
    return kept


async def copy(system: System, target: FolderStorage) -> CopyReport:
    told = list[CopyReport]()
    return await copy_storage(system, target, told.append)


async def read_all(storage: FolderStorage) -> dict[str, bytes]:
    return {listed.key: await storage.read(listed.key) async for listed in storage.list_objects()}


async def test_copy_that_broke_off_goes_on_and_the_place_gets_its_id_at_the_end(
    system: System, filled: dict[str, bytes], tmp_path: Path
) -> None:
    orphan = system.services.storage.find_local("datasets/orphan.tar")
    assert orphan is not None
    orphan.write_bytes(b"nobody's")
    with pytest.raises(ConnectionError):
        await copy(system, BreakingStorage(tmp_path / "new"))
    target = FolderStorage(tmp_path / "new")
    assert await target.find_id() is None
    report = await copy(system, target)
    assert (report.copied, report.there_before, report.faults) == (2, 2, [])
    assert await read_all(target) == filled, "and not what no row names"
    assert await target.find_id() == "sto_own"
    assert (await copy(system, target)).copied == 0


async def test_copy_with_other_bytes_is_made_anew(system: System, filled: dict[str, bytes], tmp_path: Path) -> None:
    target = FolderStorage(tmp_path / "new")
    await copy(system, target)
    torn = target.local_path(next(key for key in filled if key.startswith("datasets/")))
    torn.write_bytes(b"x" * torn.stat().st_size)
    assert (await copy(system, target)).copied == 1
    assert await read_all(target) == filled


async def test_file_that_is_not_what_its_row_tells_is_named_and_the_place_is_not_to_be_used(
    system: System, filled: dict[str, bytes], tmp_path: Path
) -> None:
    key = next(key for key in filled if key.startswith("adapters/"))
    torn = system.services.storage.find_local(key)
    assert torn is not None
    torn.write_bytes(b"torn")
    target = FolderStorage(tmp_path / "new")
    report = await copy(system, target)
    assert (report.copied, report.faults) == (3, [key])
    assert await target.find_id() is None
    assert key not in await read_all(target)


class BusyStorage(FolderStorage):
    """A place in which brokers work: each upload grows, and each checkpoint goes, whenever it has been listed."""

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ListedObject]:
        async for listed in super().list_objects(prefix):
            yield listed
            if listed.key.startswith("uploads/"):
                await self.append(listed.key, listed.size_bytes, one_chunk(b"second"), max_bytes=100)
            elif listed.key.startswith("checkpoints/"):
                await self.delete(listed.key)


async def test_what_grows_or_goes_while_it_is_copied_is_no_fault(
    system: System, filled: dict[str, bytes], tmp_path: Path
) -> None:
    source, target = system.services.storage, FolderStorage(tmp_path / "new")
    assert isinstance(source, FolderStorage)
    services = replace(system.services, storage=BusyStorage(source.root))
    report = await copy(System(system.database, services), target)
    assert (report.copied, report.faults) == (3, [])
    assert (await copy(system, target)).copied == 1, "what had grown meanwhile"
    assert await read_all(target) == await read_all(source)


async def test_storage_of_another_installation_is_left_alone(
    system: System, filled: dict[str, bytes], tmp_path: Path
) -> None:
    target = FolderStorage(tmp_path / "new")
    await target.create_id("sto_other")
    with pytest.raises(OperatorError, match="another installation's storage"):
        await copy(system, target)
    assert await read_all(target) == {}
