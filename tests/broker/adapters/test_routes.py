"""The registry over the API: one adapter a job, versions that count up, files that stay what they were."""

import asyncio
import hashlib
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.adapters import service
from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    dispatch,
    make_ready_customer,
    submit_job,
    worker_api,
)
from tests.broker.tenants import finish_job, put_bytes


async def start_job(api: Api, system: System, customer: Customer, **fields: Any) -> tuple[str, str]:
    """Submit a job and have its worker claim its run; returns the ids of job and run."""
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, **fields)
    await dispatch(system, gpus=8)
    run_id = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]["id"]
    async with worker_api(api.app, system, run_id) as worker:
        await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1})
    return job["id"], run_id


def list_files(system: System) -> list[Path]:
    return [path for path in (system.services.settings.data_dir / "objects" / "adapters").rglob("*") if path.is_file()]


async def test_adapter_is_downloaded_as_it_was_uploaded(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id, _run_id = await start_job(api, system, customer)
    content = safetensors_file("brand tone")
    await finish_job(api, system, job_id, content=content)
    async with customer_api(api, customer.id) as own:
        (adapter,) = (await own.get("/adapters"))["data"]
        response = await own.call("GET", f"/adapters/{adapter['id']}/download", expect=200)
    assert response.content == content
    assert response.headers["x-content-sha256"] == adapter["sha256"] == hashlib.sha256(content).hexdigest()
    assert 'filename="train_v1.safetensors"' in response.headers["content-disposition"]
    assert (adapter["job_id"], adapter["size_bytes"], adapter["version"]) == (job_id, len(content), 1)
    assert adapter["base_model"] == "smollm2-135m-instruct"


async def test_versions_count_up_for_each_name_of_a_customer(api: Api, system: System) -> None:
    mine, other = await make_ready_customer(api), await make_ready_customer(api)
    project = await api.post("/projects", {"customer_id": mine.id, "name": "cyberpunk"}, expect=201)
    for customer, fields in ((mine, {}), (mine, {}), (mine, {"project_id": project["id"]}), (other, {})):
        job_id, _run_id = await start_job(api, system, customer, **fields)
        await finish_job(api, system, job_id)
    rows = (await api.get("/adapters"))["data"][::-1]
    assert sorted((row["name"], row["version"]) for row in rows if row["customer_id"] == mine.id) == [
        ("cyberpunk", 1),
        ("train", 1),
        ("train", 2),
    ]
    assert [row["version"] for row in rows if row["customer_id"] == other.id] == [1]


async def test_two_jobs_that_end_at_once_have_a_version_each(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    jobs = [(await start_job(api, system, customer))[0] for _ in range(4)]
    await asyncio.gather(*(finish_job(api, system, job_id) for job_id in jobs))
    assert sorted(row["version"] for row in (await api.get("/adapters"))["data"]) == [1, 2, 3, 4]


async def test_adapter_of_a_job_under_way_is_not_listed(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id, run_id = await start_job(api, system, customer)
    async with worker_api(api.app, system, run_id) as worker:
        await put_bytes(worker, f"/runs/{run_id}/adapter", safetensors_file("early"))
        assert (await api.get("/adapters"))["data"] == []
    await finish_job(api, system, job_id, content=safetensors_file("late"))
    (adapter,) = (await api.get("/adapters"))["data"]
    assert adapter["sha256"] == hashlib.sha256(safetensors_file("late")).hexdigest()
    response = await api.call("GET", f"/adapters/{adapter['id']}/download", expect=200)
    assert response.content == safetensors_file("late")


async def test_worker_that_comes_too_late_changes_no_byte_of_the_adapter(api: Api, system: System) -> None:
    """A past fault: the file was overwritten before the run turned out to be over."""
    customer = await make_ready_customer(api)
    job_id, run_id = await start_job(api, system, customer)
    await finish_job(api, system, job_id, content=safetensors_file("good"))
    (adapter,) = (await api.get("/adapters"))["data"]
    async with worker_api(api.app, system, run_id) as worker:
        await put_bytes(worker, f"/runs/{run_id}/adapter", safetensors_file("late"), expect=409)
    response = await api.call("GET", f"/adapters/{adapter['id']}/download", expect=200)
    assert response.content == safetensors_file("good")


async def test_upload_whose_run_ends_meanwhile_changes_no_byte_of_the_adapter(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id, run_id = await start_job(api, system, customer)
    arrived, release = asyncio.Event(), asyncio.Event()
    late = safetensors_file("late")

    async def slowly() -> AsyncIterator[bytes]:
        yield late[:10]
        arrived.set()
        await release.wait()
        yield late[10:]

    headers = {"X-Fence-Token": "1", "X-Content-SHA256": hashlib.sha256(late).hexdigest()}
    async with worker_api(api.app, system, run_id) as worker:
        upload = asyncio.create_task(worker.call("PUT", f"/runs/{run_id}/adapter", content=slowly(), headers=headers))
        await asyncio.wait_for(arrived.wait(), 10)
        await asyncio.wait_for(finish_job(api, system, job_id, content=safetensors_file("good")), 10)
        release.set()
        assert (await upload).status_code == 409
    (adapter,) = (await api.get("/adapters"))["data"]
    response = await api.call("GET", f"/adapters/{adapter['id']}/download", expect=200)
    assert response.content == safetensors_file("good")


async def test_refused_uploads_leave_no_file(api: Api, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await make_ready_customer(api)
    _job_id, run_id = await start_job(api, system, customer)
    async with worker_api(api.app, system, run_id) as worker:
        await put_bytes(worker, f"/runs/{run_id}/adapter", pickle.dumps({"lora": 1}), expect=422)
        headers = {"X-Fence-Token": "1", "X-Content-SHA256": "0" * 64}
        await worker.call("PUT", f"/runs/{run_id}/adapter", expect=422, content=b"else", headers=headers)
        monkeypatch.setattr(service, "MAX_ADAPTER_BYTES", 10)
        problem = await put_bytes(worker, f"/runs/{run_id}/adapter", safetensors_file(), expect=413)
    assert problem["type"] == "/problems/upload-too-large"
    assert list_files(system) == []


async def test_upload_longer_than_a_data_set_is_taken_from_a_worker(
    api: Api, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A past fault: the limit of data sets was put on checkpoints and adapters, too."""
    monkeypatch.setattr(system.services.settings, "max_dataset_bytes", 1000)
    customer = await make_ready_customer(api)
    _job_id, run_id = await start_job(api, system, customer)
    async with worker_api(api.app, system, run_id) as worker:
        await put_bytes(worker, f"/runs/{run_id}/checkpoints/1", b"x" * 3_000_000)


async def test_a_lineage_goes_back_to_data_and_on_to_what_was_made_of_it(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    first_job, _run = await start_job(api, system, customer)
    await finish_job(api, system, first_job)
    (first,) = (await api.get("/adapters"))["data"]
    assert first["dataset_sha256"] == customer.dataset["sha256"]
    goes_on = {"config": {**CONFIG, "init_from": first["id"], "epochs": 2}}
    second_job, second_run = await start_job(api, system, customer, **goes_on)
    await finish_job(api, system, second_job)
    second = (await api.get("/adapters", job_id=second_job))["data"][0]
    for asked in (first, second):
        told = await api.get(f"/adapters/{asked['id']}/lineage")
        nodes = {each["id"]: each for each in told["nodes"]}
        assert {key: node["kind"] for key, node in nodes.items()} == {
            first["id"]: "adapter",
            second["id"]: "adapter",
            first_job: "job",
            second_job: "job",
            _run: "run",
            second_run: "run",
            customer.dataset["id"]: "dataset",
            CONFIG["base_model"]: "base_model",
        }
        edges = {(each["source"], each["target"]): each["kind"] for each in told["edges"]}
        assert edges[first["id"], second_job] == "continued"
        assert edges[customer.dataset["id"], first_job] == "learnt_from"
        assert edges[second_run, second["id"]] == "made"
        assert nodes[customer.dataset["id"]]["facts"]["sha256"] == customer.dataset["sha256"]
    compared = await api.get("/adapters/compare", first=first["id"], second=second["id"])
    differences = {each["field"]: each["values"] for each in compared["differences"]}
    assert differences["config.epochs"] == [1, 2]
    assert differences["init_from"] == [None, first["id"]]
    assert "base_model" not in differences


async def test_tags_find_an_adapter(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    for _job in range(2):
        job_id, _run_id = await start_job(api, system, customer)
        await finish_job(api, system, job_id)
    second, first = (await api.get("/adapters"))["data"]
    body = {"tags": ["approved", "client: Tea", "approved"]}
    tagged = (await api.call("PATCH", f"/adapters/{first['id']}", json=body, expect=200)).json()
    assert tagged["tags"] == ["approved", "client: Tea"]
    assert [each["id"] for each in (await api.get("/adapters", tag="approved"))["data"]] == [first["id"]]
    assert second["metrics"]["tokens"] == 200
    assert second["cost"] == (await api.get(f"/jobs/{second['job_id']}"))["cost"]
