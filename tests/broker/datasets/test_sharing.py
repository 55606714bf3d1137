"""Versions with other captions share the pictures of their upload: stored once, needed as long as any version is."""

import hashlib
import io
import tarfile
from typing import Any

from fastapi import FastAPI

from broker.datasets.archive import UploadedFile, pack_files
from broker.datasets.service import get_dataset
from broker.persistence.storage import Storage
from broker.retention.service import sweep
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.datasets.test_captions import list_captions
from tests.broker.factories import Api, make_customer, make_ready_customer, submit_job
from tests.broker.picture_files import draw_picture, upload_pictures
from tests.broker.worker_calls import dispatched_worker

CONFIG = {"base_model": "sd-1.5", "resolution": 64, "batch_size": 2, "epochs": 10, "default_caption": "a disc"}
PICTURES = {f"{number:02d}.png": draw_picture((200, 200), number=number, compress_level=0) for number in range(6)}
FILES = {**PICTURES, "03.txt": "red kettle", "04.txt": "blue cup, watermark", "ü/05.png": draw_picture(number=9)}


async def list_objects(storage: Storage) -> dict[str, int]:
    return {each.key: each.size_bytes async for each in storage.list_objects("datasets/")}


async def edit(api: Api, dataset: Any, **body: Any) -> Any:
    return (await api.post(f"/datasets/{dataset['id']}/captions", body, expect=201))["dataset"]


async def read_tar(system: System, dataset: Any) -> bytes:
    async with system.work() as work:
        tar = (await get_dataset(work, dataset["id"])).tar
    return b"".join([piece async for piece in tar.stream(system.services.storage)])


def unpack(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def pack(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    pack_files([UploadedFile(name, files[name]) for name in sorted(files)], target)
    return target.getvalue()


async def test_a_version_of_captions_stores_no_picture_again_and_has_the_bytes_of_a_whole_one(
    api: Api, system: System
) -> None:
    """A past fault: an edit of one caption stored all pictures once more."""
    root = await upload_pictures(api, (await make_customer(api))["id"], FILES)
    whole = (await list_objects(system.services.storage))[f"datasets/{root['customer_id']}/{root['id']}.tar"]
    one = await edit(api, root, captions={"00.png": "an oak lamp"})
    two = await edit(api, one, remove_tags=["watermark"], trigger="slwfry")
    three = await edit(
        api, two, captions={"00.png": "an oak lamp", "03.png": "red kettle", "04.png": "blue cup, watermark"}
    )
    objects = await list_objects(system.services.storage)
    own = [size for key, size in objects.items() if key.endswith(".captions")]
    assert len(objects) == 4
    assert sum(own) < 60_000 < whole / 10, "an end of a tar, some captions, and where the rest lies"
    for dataset in (one, two, three):
        content = await read_tar(system, dataset)
        files = unpack(content)
        assert content == pack(files), "as packing all of it anew would give"
        assert {name: files[name] for name in PICTURES} == PICTURES
    assert unpack(await read_tar(system, three))["00.txt"] == b"an oak lamp\n"
    assert (await list_captions(api, two["id"]))["ü/05.png"] == "slwfry"
    file = await api.call("GET", f"/datasets/{two['id']}/file", params={"name": "02.png"}, expect=200)
    assert file.content == PICTURES["02.png"]


async def test_an_edit_back_to_what_was_there_is_stored_where_that_is(api: Api, system: System) -> None:
    root = await upload_pictures(api, (await make_customer(api))["id"], FILES)
    other = await edit(api, root, captions={"03.png": "green kettle"})
    back = await edit(api, other, captions={"03.png": "red kettle"})
    assert unpack(await read_tar(system, back))["03.txt"] == b"red kettle\n"
    again = await edit(api, back, captions={"03.png": "green kettle"})
    assert again["size_bytes"] == other["size_bytes"]
    assert await read_tar(system, again) == await read_tar(system, other)
    assert len(await list_objects(system.services.storage)) == 3


async def test_pictures_stay_as_long_as_any_version_needs_them(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_customer(api)
    root = await upload_pictures(api, customer["id"], FILES)
    one = await edit(api, root, captions={"00.png": "an oak lamp"})
    two = await edit(api, one, captions={"01.png": "a brass lamp"})
    used = (await api.get(f"/customers/{customer['id']}/storage"))["used_bytes"]
    objects = await list_objects(system.services.storage)
    assert used == sum(objects.values())
    for gone, left in ((root, 3), (one, 2), (two, 0)):
        await api.call("DELETE", f"/datasets/{gone['id']}", expect=204)
        clock.advance(days=3)
        await sweep(system)
        objects = await list_objects(system.services.storage)
        assert len(objects) == left
        assert (await api.get(f"/customers/{customer['id']}/storage"))["used_bytes"] == sum(objects.values())
        if left:
            assert unpack(await read_tar(system, two))["05.png"] == PICTURES["05.png"]
    refused = await api.post(f"/datasets/{two['id']}/captions", {"caption": "x"}, expect=404)
    assert refused["type"] == "/problems/not-found"


async def test_a_worker_fetches_a_version_whole_and_in_ranges(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    root = await upload_pictures(api, customer.id, FILES)
    version = await edit(api, root, captions={"00.png": "an oak lamp", "ü/05.png": "a tin lamp"})
    content = await read_tar(system, version)
    middle = content.index(PICTURES["01.png"][:64]) - 600
    job = await submit_job(api, version["id"], customer_id=customer.id, config=CONFIG)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        claimed = await worker.claim()
        path = f"/runs/{worker.run_id}/dataset"
        whole = await worker.api.call("GET", path, expect=200)
        for first, last in ((0, 99), (middle, middle + 3000), (len(content) - 10, len(content) - 1)):
            part = await worker.api.call("GET", path, headers={"Range": f"bytes={first}-{last}"}, expect=206)
            assert part.content == content[first : last + 1]
            assert part.headers["content-range"] == f"bytes {first}-{last}/{len(content)}"
    assert (whole.content, len(content)) == (content, claimed["dataset"]["size_bytes"])
    assert hashlib.sha256(content).hexdigest() == claimed["dataset"]["sha256"]
