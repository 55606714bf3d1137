"""Uploads that go on after a break (tus 1.0), and the data sets that are made of them."""

import asyncio
import base64
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2 as httpx
import pytest
from starlette.requests import ClientDisconnect

from broker.datasets import uploads
from broker.retention.service import sweep
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import ROWS, Api, customer_api, jsonl, make_customer

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
async def own(api: Api) -> AsyncIterator[Api]:
    """Connect a new customer to the API."""
    async with customer_api(api, (await make_customer(api))["id"]) as own:
        yield own


def write_metadata(**told: str) -> dict[str, str]:
    pairs = [f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items()]
    return {"Upload-Metadata": ",".join(pairs)}


async def create(own: Api, size: int, *, expect: int = 201, **told: str) -> httpx.Response:
    headers = TUS | {"Upload-Length": str(size)} | write_metadata(**told)
    return await own.call("POST", "/uploads", headers=headers, expect=expect)


async def send(
    own: Api, upload_id: str, offset: int, content: Any, *, expect: int = 204, **headers: str
) -> httpx.Response:
    told = PIECE | {"Upload-Offset": str(offset)} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await own.call("PATCH", f"/uploads/{upload_id}", content=content, headers=told, expect=expect)


async def ask(own: Api, upload_id: str, *, expect: int = 200) -> httpx.Response:
    return await own.call("HEAD", f"/uploads/{upload_id}", headers=TUS, expect=expect)


def list_stored(system: System) -> list[str]:
    root = system.services.settings.data_dir / "objects"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name[0] != ".")


async def test_upload_in_pieces_becomes_a_data_set_and_is_gone(own: Api, system: System) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data/tea.jsonl", jsonl())
    content = buffer.getvalue()
    created = await create(own, len(content), filename="茶.zip")
    upload = created.json()
    assert created.headers["location"] == f"/v1/uploads/{upload['id']}"
    assert (upload["name"], upload["received_bytes"]) == ("茶.zip", 0)
    assert (await send(own, upload["id"], 0, content[:100])).headers["upload-offset"] == "100"
    body = {"upload_ids": [upload["id"]]}
    refused = await own.post("/datasets/from-uploads", body, expect=409)
    assert (refused["type"], refused["received_bytes"]) == ("/problems/upload-unfinished", 100)
    head = await ask(own, upload["id"])
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("100", str(len(content)))
    assert head.headers["upload-metadata"] == created.headers["upload-metadata"]
    assert head.headers["cache-control"] == "no-store"
    await send(own, upload["id"], 100, content[100:])
    dataset = await own.post("/datasets/from-uploads", body, expect=201, key="once")
    assert (dataset["name"], dataset["usable_rows"]) == ("茶.zip", len(ROWS))
    assert await own.post("/datasets/from-uploads", body, expect=201, key="once") == dataset
    await ask(own, upload["id"], expect=404)
    assert list_stored(system) == [f"datasets/{dataset['customer_id']}/{dataset['id']}.tar"]


async def test_what_came_before_a_break_stays_and_the_rest_is_sent_from_there(own: Api) -> None:
    upload_id = (await create(own, 12)).json()["id"]

    async def break_off() -> AsyncIterator[bytes]:
        yield b"first "
        raise ClientDisconnect

    await send(own, upload_id, 0, break_off(), expect=499)
    received = int((await ask(own, upload_id)).headers["upload-offset"])
    assert received == 6
    assert (await send(own, upload_id, received, b"second")).headers["upload-offset"] == "12"


async def test_piece_that_does_not_join_on_is_refused_with_the_place_to_go_on_from(own: Api) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    await send(own, upload_id, 0, b"first ")
    for offset in (0, 7):
        problem = (await send(own, upload_id, offset, b"second", expect=409)).json()
        assert (problem["type"], problem["received_bytes"]) == ("/problems/chunk-mismatch", 6)
    await send(own, upload_id, 6, b"second and more", expect=413)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
async def test_piece_with_a_checksum_is_kept_whole_or_not_at_all(own: Api, algorithm: str) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    await send(own, upload_id, 0, b"first ")

    def sum_of(content: bytes) -> dict[str, str]:
        digest = hashlib.new(algorithm, content).digest()
        return {"Upload_Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}

    torn = await send(own, upload_id, 6, b"secand", expect=460, **sum_of(b"second"))
    assert (torn.json()["type"], torn.json()["status"]) == ("/problems/checksum-mismatch", 460)
    assert (await ask(own, upload_id)).headers["upload-offset"] == "6"
    assert (await send(own, upload_id, 6, b"second", **sum_of(b"second"))).headers["upload-offset"] == "12"


async def test_another_version_or_type_is_refused_as_tus_says(own: Api) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    refused = await own.call("POST", "/uploads", headers={"Upload-Length": "1"}, expect=412)
    assert refused.headers["tus-version"] == "1.0.0"
    headers = TUS | {"Upload-Offset": "0", "Content-Type": "application/octet-stream"}
    await own.call("PATCH", f"/uploads/{upload_id}", content=b"x", headers=headers, expect=415)
    told = (await own.call("OPTIONS", "/uploads", expect=204)).headers
    assert told["tus-extension"] == "creation,termination,checksum,expiration"
    assert int(told["tus-max-size"]) > 10**9


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Upload-Length": str(10**13)}, 413, "Upload-Length"),
        ({"Upload-Length": "-1"}, 422, "Upload-Length"),
        ({}, 422, "Upload-Length"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename !"}, 422, "Upload-Metadata"),
    ],
)
async def test_bad_creation_names_the_header(own: Api, headers: dict[str, str], status: int, field: str) -> None:
    problem = (await own.call("POST", "/uploads", headers=TUS | headers, expect=status)).json()
    assert [error["field"].lower() for error in problem["errors"]] == [field.lower()]


async def test_bad_checksum_names_the_header(own: Api) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    for told in ("crc32 AAAA", "sha1 !", "sha1"):
        problem = (await send(own, upload_id, 0, b"x", expect=422, Upload_Checksum=told)).json()
        assert [error["field"] for error in problem["errors"]] == ["Upload-Checksum"]


async def test_one_request_at_a_time_writes_and_a_silent_one_loses_its_turn(
    own: Api, clock: ManualClock, system: System
) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    first_came, go_on = asyncio.Event(), asyncio.Event()

    async def stall() -> AsyncIterator[bytes]:
        yield b"fir"
        first_came.set()
        await go_on.wait()
        yield b"st again"

    stalled = asyncio.create_task(send(own, upload_id, 0, stall(), expect=423))
    await first_came.wait()
    await send(own, upload_id, 0, b"first ", expect=423)
    clock.advance(seconds=uploads.CLAIM_SECONDS + 1)
    await send(own, upload_id, int((await ask(own, upload_id)).headers["upload-offset"]), b"first second")
    go_on.set()
    await stalled
    assert (await ask(own, upload_id)).headers["upload-offset"] == "12"
    stored = system.services.settings.data_dir / "objects" / "uploads"
    assert [path.read_bytes() for path in stored.rglob("upl_*")] == [b"first second"]


@pytest.mark.parametrize("told", [{}, {"Upload_Checksum": "sha256 n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}])
async def test_request_that_lost_its_turn_and_breaks_off_then_harms_nothing_that_came_since(
    own: Api, clock: ManualClock, system: System, told: dict[str, str]
) -> None:
    """A dead line is told long after its client went on by another one, and what it brought may be damaged."""
    upload_id = (await create(own, 12)).json()["id"]
    first_came, go_on = asyncio.Event(), asyncio.Event()

    async def die_late() -> AsyncIterator[bytes]:
        yield b"XXX"
        first_came.set()
        await go_on.wait()
        raise ClientDisconnect

    dead = asyncio.create_task(send(own, upload_id, 0, die_late(), expect=423, **told))
    await first_came.wait()
    clock.advance(seconds=uploads.CLAIM_SECONDS + 1)
    await send(own, upload_id, 0, b"first second")
    go_on.set()
    await dead
    stored = system.services.settings.data_dir / "objects" / "uploads"
    assert [path.read_bytes() for path in stored.rglob("upl_*")] == [b"first second"]


async def test_upload_that_is_being_written_to_is_not_made_a_data_set_of(own: Api) -> None:
    """All its bytes may have come, and not their checksum yet."""
    content = jsonl()
    upload_id = (await create(own, len(content), filename="train.jsonl")).json()["id"]
    came, go_on = asyncio.Event(), asyncio.Event()

    async def linger() -> AsyncIterator[bytes]:
        yield content
        came.set()
        await go_on.wait()

    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    lingering = asyncio.create_task(send(own, upload_id, 0, linger(), Upload_Checksum=f"sha256 {digest}"))
    await came.wait()
    await own.post("/datasets/from-uploads", {"upload_ids": [upload_id]}, expect=423)
    go_on.set()
    await lingering
    await own.post("/datasets/from-uploads", {"upload_ids": [upload_id]}, expect=201)


async def test_two_data_sets_are_not_made_of_one_upload(own: Api, system: System) -> None:
    content = jsonl()
    upload_id = (await create(own, len(content), filename="train.jsonl")).json()["id"]
    await send(own, upload_id, 0, content)
    makes = [own.call("POST", "/datasets/from-uploads", json={"upload_ids": [upload_id]}) for _ in range(2)]
    answers = await asyncio.gather(*makes)
    assert sorted(answer.status_code for answer in answers) == [201, 404]
    assert len(list_stored(system)) == 1


async def test_upload_of_another_customer_is_not_there(api: Api, own: Api) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    other = await make_customer(api)
    async with customer_api(api, other["id"]) as stranger:
        await send(stranger, upload_id, 0, b"first ", expect=404)
        await ask(stranger, upload_id, expect=404)
        await stranger.post("/datasets/from-uploads", {"upload_ids": [upload_id]}, expect=404)
        headers = TUS | {"Upload-Length": "1"}
        params = {"customer_id": (await own.get("/uploads"))["data"][0]["customer_id"]}
        await stranger.call("POST", "/uploads", headers=headers, params=params, expect=404)
    assert (await ask(own, upload_id)).headers["upload-offset"] == "0"


async def test_upload_expires_after_its_last_piece_and_is_swept(own: Api, clock: ManualClock, system: System) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    clock.advance(hours=20)
    expires = (await send(own, upload_id, 0, b"first ")).headers["upload-expires"]
    assert parsedate_to_datetime(expires) == (clock.now + timedelta(hours=24)).replace(microsecond=0)
    clock.advance(hours=20)
    await sweep(system)
    await ask(own, upload_id)
    clock.advance(hours=5)
    await ask(own, upload_id, expect=404)
    assert (await own.get("/uploads"))["data"] == []
    await sweep(system)
    clock.advance(days=30)
    await sweep(system)
    assert list_stored(system) == []


async def test_deleted_upload_is_gone_with_its_bytes(own: Api, system: System) -> None:
    upload_id = (await create(own, 12)).json()["id"]
    await send(own, upload_id, 0, b"first ")
    assert [(each["id"], each["received_bytes"]) for each in (await own.get("/uploads"))["data"]] == [(upload_id, 6)]
    await own.call("DELETE", f"/uploads/{upload_id}", headers=TUS, expect=204)
    await ask(own, upload_id, expect=404)
    assert list_stored(system) == []


async def test_upload_of_no_bytes_is_whole_at_once_and_has_no_row(own: Api) -> None:
    upload_id = (await create(own, 0, filename="train.jsonl")).json()["id"]
    problem = await own.post("/datasets/from-uploads", {"upload_ids": [upload_id]}, expect=422)
    assert problem["type"] == "/problems/dataset-unusable"
    await ask(own, upload_id)


async def test_upload_named_twice_is_refused(own: Api) -> None:
    upload_id = (await create(own, 0)).json()["id"]
    problem = await own.post("/datasets/from-uploads", {"upload_ids": [upload_id] * 2}, expect=422)
    assert [error["field"] for error in problem["errors"]] == ["upload_ids"]


async def test_open_uploads_of_a_customer_have_a_limit(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_OPEN", 2)
    for expect in (201, 201, 422):
        await create(own, 1, expect=expect)
