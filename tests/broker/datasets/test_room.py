"""A customer stores no more than it may: told while an upload comes, held by several at once, nothing half written."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.system import System
from tests.broker.datasets.test_uploads import TUS, create, list_stored, send
from tests.broker.factories import Api, customer_api, jsonl, make_customer, staff_key

MIB = 1 << 20


@pytest.fixture
async def customer(api: Api) -> Any:
    return await make_customer(api)


@pytest.fixture
async def own(api: Api, customer: Any) -> AsyncIterator[Api]:
    async with customer_api(api, customer["id"]) as own:
        yield own


async def limit(api: Api, customer: Any, size_bytes: int | None) -> None:
    body = {"storage_limit_bytes": size_bytes}
    await api.call("PATCH", f"/customers/{customer['id']}", json=body, expect=200)


async def upload(own: Api, content: bytes, *, expect: int | None = 201, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    sent = {"files": ("train.jsonl", content)}
    return (await own.call("POST", "/datasets", files=sent, headers=headers, expect=expect)).json()


async def read_storage(own: Api, customer: Any) -> tuple[int | None, int]:
    told = await own.get(f"/customers/{customer['id']}/storage")
    assert told["used_bytes"] == told["dataset_bytes"] + told["upload_bytes"]
    return told["limit_bytes"], told["used_bytes"]


def assert_refused(problem: Any, field: str) -> None:
    assert problem["type"] == "/problems/storage-limit-reached"
    assert [error["field"] for error in problem["errors"]] == [field]
    assert "delete data sets" in problem["errors"][0]["message"]


async def test_limit_is_the_brokers_until_ops_sets_another_and_takes_it_back(
    api: Api, own: Api, customer: Any, system: System
) -> None:
    usual = system.services.settings.customer_storage_bytes
    assert await read_storage(own, customer) == (usual, 0)
    async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
        await limit(ops, customer, 5 * MIB)
        assert await read_storage(ops, customer) == (5 * MIB, 0)
        assert (await ops.get(f"/customers/{customer['id']}"))["requests_per_minute"] is None, "it stays as it was"
        (entry,) = (await ops.get("/audit", action="change_customer_limit"))["data"]
        await ops.post(f"/audit/{entry['id']}/undo")
    assert await read_storage(own, customer) == (usual, 0)
    await limit(api, customer, 0)
    assert await read_storage(own, customer) == (None, 0)
    await own.call("PATCH", f"/customers/{customer['id']}", json={"storage_limit_bytes": 1}, expect=403)
    await api.call("PATCH", f"/customers/{customer['id']}", json={}, expect=422)


async def test_data_set_beyond_the_limit_is_refused_and_leaves_nothing(
    api: Api, own: Api, customer: Any, system: System
) -> None:
    made = await upload(own, jsonl(), key="once")
    before = list_stored(system)
    await limit(api, customer, made["size_bytes"] + 100)
    problem = await upload(own, jsonl() + b'{"prompt": "a", "completion": "b"}\n', expect=413)
    assert_refused(problem, "files")
    assert (problem["limit_bytes"], problem["used_bytes"]) == (made["size_bytes"] + 100, made["size_bytes"])
    assert list_stored(system) == before
    assert (await upload(own, jsonl(), key="once"))["id"] == made["id"], "a retry gets its answer"
    await upload(own, jsonl())  # the same bytes are stored once, and need no room
    await own.call("DELETE", f"/datasets/{made['id']}", expect=204)
    assert (await read_storage(own, customer))[1] == made["size_bytes"]


async def test_form_is_refused_while_it_comes(
    api: Api, own: Api, customer: Any, system: System, no_lingering: None
) -> None:
    """How much was sent by then: what is still on its way is taken afterwards, and thrown away (`lingering.py`)."""
    await limit(api, customer, MIB)
    boundary, sent = "border", 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        head = 'Content-Disposition: form-data; name="files"; filename="a.jsonl"'
        yield f"--{boundary}\r\n{head}\r\n\r\n".encode()
        for _ in range(64):
            sent += MIB
            yield b"x" * MIB
        yield f"\r\n--{boundary}--\r\n".encode()

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = await own.call("POST", "/datasets", content=body(), headers=headers, expect=413)
    assert_refused(answer.json(), "files")
    assert sent < 8 * MIB
    assert list_stored(system) == []


async def test_open_uploads_count_with_all_that_they_will_have(
    api: Api, own: Api, customer: Any, system: System
) -> None:
    await limit(api, customer, 100_000)
    first = (await create(own, 60_000)).json()
    assert_refused((await create(own, 60_000, expect=413)).json(), "Upload-Length")
    headers = TUS | {"Upload-Length": "20000"}
    answers = await asyncio.gather(*(own.call("POST", "/uploads", headers=headers) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 413, 413, 413]
    assert await read_storage(own, customer) == (100_000, 100_000)
    await own.call("DELETE", f"/uploads/{first['id']}", expect=204)
    rows = jsonl().ljust(40_000, b"\n")
    again = (await create(own, len(rows), filename="a.jsonl")).json()
    await send(own, again["id"], 0, rows)
    made = await own.post("/datasets/from-uploads", {"upload_ids": [again["id"]]}, expect=201)
    assert (await read_storage(own, customer))[1] == 40_000 + made["size_bytes"], "its upload is gone with it"


async def test_uploads_that_end_at_once_do_not_go_beyond_the_limit_together(
    api: Api, own: Api, customer: Any, system: System
) -> None:
    await limit(api, customer, 25_000)  # of a data set that is a tar of 10,240 bytes each
    rows = [jsonl() + b'{"prompt": "%d", "completion": "b"}\n' % number for number in range(5)]
    answers = await asyncio.gather(*(upload(own, each, expect=None) for each in rows))
    assert [answer["type"] for answer in answers if "type" in answer] == ["/problems/storage-limit-reached"] * 3
    assert (await read_storage(own, customer))[1] == 20_480
    assert len(list_stored(system)) == 2
