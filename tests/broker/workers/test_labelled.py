"""What a labelling hands in becomes the next version of its data set, once; its job ends with it."""

import hashlib
import json
from typing import Any

import pytest
from fastapi import FastAPI

from broker.config import Settings
from broker.system import System
from tests.broker.factories import Api, dispatch, make_ready_customer
from tests.broker.picture_files import draw_picture, upload_pictures
from tests.broker.worker_calls import dispatched_worker, worker_of

LABEL = {"kind": "auto_label", "trigger": "ink", "max_tokens": 8}
FILES = {"a.png": draw_picture(number=1), "b.png": draw_picture(number=2), "b.txt": "mine"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"captioners": "blip-base,florence-2-base"})


async def order(api: Api, **config: Any) -> Any:
    customer = await make_ready_customer(api)
    dataset = await upload_pictures(api, customer.id, FILES)
    body = {"config": LABEL | config, "dataset_id": dataset["id"], "customer_id": customer.id}
    return await api.post("/jobs", body, expect=201)


def say(**words: str) -> bytes:
    pictures = [{"name": f"{name}.png", "words": said, "tokens": 3} for name, said in words.items()]
    return json.dumps({"pictures": pictures}).encode()


async def test_words_become_captions_of_the_next_version(api: Api, app: FastAPI, system: System) -> None:
    job = await order(api)
    assert (job["kind"], job["estimate"]["tokens"], job["config"]["base_model"]) == ("auto_label", 8, "blip-base")
    assert not any("probe" in sentence for sentence in job["estimate"]["uncertain"])
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        assert (await worker.claim())["config"]["kind"] == "auto_label"
        usage = [worker.interval(5, tokens=3)]
        refused = await worker.post("finish", outcome="succeeded", expect=409)
        assert "what it made" in refused["detail"]
        made = (await worker.put("captions", say(a="a red kettle."))).json()
        await worker.post("finish", outcome="succeeded", usage=usage)
    job = await api.get(f"/jobs/{job['id']}")
    assert (job["status"], job["made_dataset_id"], job["used_tokens"]) == ("succeeded", made["dataset_id"], 3)
    pictures = (await api.get(f"/datasets/{made['dataset_id']}/pictures"))["data"]
    assert {each["name"]: each["caption"] for each in pictures} == {"a.png": "ink, a red kettle", "b.png": "mine"}


async def test_a_later_run_keeps_what_an_earlier_one_has_made(api: Api, app: FastAPI, system: System) -> None:
    """The first was lost between the upload and the end."""
    job = await order(api)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        first = (await worker.put("captions", say(a="kettle"))).json()
        await worker.post("finish", outcome="preempted")
    await dispatch(system)
    async with worker_of(api, app, system, job["id"]) as worker:
        await worker.claim()
        assert (await worker.put("captions", say(a="kettle"))).json() == first
        await worker.post("finish", outcome="succeeded")
    assert (await api.get(f"/jobs/{job['id']}"))["made_dataset_id"] == first["dataset_id"]
    assert len((await api.get("/datasets", root_id=job["dataset_id"]))["data"]) == 1


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"[]", 422, "body"),
        (b'{"pictures": []}', 422, "pictures"),
        (say(z="kettle"), 422, "z.png is no picture"),
    ],
)
async def test_what_is_no_answer_keeps_nothing(
    api: Api, app: FastAPI, system: System, content: bytes, status: int, message: str
) -> None:
    job = await order(api)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        refused = (await worker.put("captions", content, expect=status)).json()
        assert message in refused["detail"]
        await worker.put("captions", say(a="x"), expect=422, sha256=hashlib.sha256(b"other").hexdigest())
    assert (await api.get("/datasets", root_id=job["dataset_id"]))["data"] == []


async def test_a_training_makes_no_captions(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    body = {"config": {"base_model": "smollm2-135m-instruct"}, "dataset_id": customer.dataset["id"]}
    job = await api.post("/jobs", body | {"customer_id": customer.id}, expect=201)
    assert (job["kind"], (await api.get(f"/jobs/{job['id']}"))["made_dataset_id"]) == ("training", None)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.put("captions", say(a="x"), expect=422)
