"""Uploads in parts: cut off, gone on with, torn, and made into what they are parts of."""

import hashlib

from fastapi import FastAPI

from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.worker_calls import Worker, dispatched_worker

FILE = safetensors_file() + bytes(1000)
SHA256 = hashlib.sha256(FILE).hexdigest()


async def send(worker: Worker, offset: int, content: bytes, *, expect: int = 200) -> dict:
    path = f"chunks/{SHA256}?offset={offset}"
    return (await worker.put(path, content, expect=expect, sha256=SHA256)).json()


async def test_an_upload_goes_on_from_the_last_byte_that_is_here(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        assert await send(worker, 0, FILE[:400]) == {"received_bytes": 400}
        assert await worker.api.get(f"/runs/{worker.run_id}/chunks/{SHA256}") == {"received_bytes": 400}
        problem = await send(worker, 500, FILE[500:], expect=409)
        assert (problem["type"], problem["received_bytes"]) == ("/problems/chunk-mismatch", 400)
        assert await send(worker, 300, FILE[300:]) == {"received_bytes": len(FILE)}
        await worker.put("adapter?from_chunks=true", b"", sha256=SHA256)
        await worker.post("finish", outcome="succeeded")
        adapter = (await api.get("/adapters"))["data"][0]
    assert (adapter["sha256"], adapter["size_bytes"]) == (SHA256, len(FILE))
    assert not list((system.services.settings.data_dir / "objects").glob("chunks/*/*"))


async def test_parts_that_are_not_the_file_are_refused_and_may_be_sent_again(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await send(worker, 0, FILE[:-1])
        torn = await worker.put("checkpoints/5?from_chunks=true", b"", sha256=SHA256, expect=422)
        assert torn.json()["type"] == "/problems/checksum-mismatch"
        await send(worker, len(FILE) - 1, FILE[-1:])
        await worker.put("checkpoints/5?from_chunks=true", b"", sha256=SHA256)
        none_sent = await worker.put("checkpoints/6?from_chunks=true", b"", sha256="0" * 64, expect=422)
    assert none_sent.json()["type"] == "/problems/checksum-mismatch"


async def test_an_ended_run_neither_sends_parts_nor_reads_its_data(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.finish("succeeded")
        await send(worker, 0, FILE, expect=409)
        await worker.api.get(f"/runs/{worker.run_id}/dataset", expect=409)
