"""Jobs over REST as people look for them: by name, status, project and the beginning of an id; and what they made."""

from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs.order_schemas import JobIn
from broker.system import System
from pricing.training.beside_config import BESIDE
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def submit(api: Api, customer: Customer, **fields: Any) -> Any:
    return await submit_job(api, customer.dataset["id"], customer_id=customer.id, **fields)


async def list_ids(api: Api, **wanted: str) -> list[str]:
    return [job["id"] for job in (await api.get("/jobs", **wanted))["data"]]


async def test_job_is_found_by_a_part_of_its_name_in_any_case(api: Api, customer: Customer) -> None:
    tone = await submit(api, customer, name="Brand tone, 100% rank_16")
    await submit(api, customer, name="brand_tone")
    await submit(api, customer)
    assert tone["name"] == "Brand tone, 100% rank_16"
    assert await list_ids(api, name="TONE, 100%") == [tone["id"]]
    assert await list_ids(api, name="rank_") == [tone["id"]]
    assert await list_ids(api, name="%") == [tone["id"]]
    assert len(await list_ids(api, name="brand")) == 2


@pytest.mark.parametrize("name", ["", "x" * 201])
async def test_name_has_bounds(api: Api, customer: Customer, name: str) -> None:
    body = {"config": {}, "dataset_id": customer.dataset["id"], "customer_id": customer.id, "name": name}
    problem = await api.post("/jobs", body, expect=422)
    assert problem["errors"][0]["field"] == "name"


async def test_job_is_found_by_its_project_and_its_status(api: Api, customer: Customer) -> None:
    project = (await api.post("/projects", {"name": "tone", "customer_id": customer.id}, expect=201))["id"]
    mine = (await submit(api, customer, project_id=project))["id"]
    other = (await submit(api, customer))["id"]
    await api.post(f"/jobs/{other}/cancel")
    assert await list_ids(api, project_id=project) == [mine]
    assert await list_ids(api, project_id=project, status="cancelled") == []
    assert await list_ids(api, status="cancelled") == [other]


async def test_objects_are_found_by_the_beginning_of_their_id(api: Api, customer: Customer) -> None:
    job = await submit(api, customer)
    assert await list_ids(api, id_prefix=job["id"][:20]) == [job["id"]]
    assert await list_ids(api, id_prefix="job_zzz") == []
    for path, found in (("/datasets", customer.dataset["id"]), ("/contracts", customer.contract["id"])):
        page = await api.get(path, id_prefix=found[:20])
        assert [item["id"] for item in page["data"]] == [found]
        assert (await api.get(path, id_prefix=f"{found[:4]}zz"))["data"] == []
    problem = await api.get("/jobs", id_prefix="%", expect=422)
    assert problem["errors"][0]["field"] == "id_prefix"


async def test_job_that_succeeded_names_its_adapter_and_no_other_does(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    """A job had no way to its adapter: one had to look through all of them."""
    job = await submit(api, customer)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.beat(1)
        await worker.put("adapter", (8).to_bytes(8, "little") + b'{"a":{}}')
        assert (await api.get(f"/jobs/{job['id']}"))["adapter_id"] is None
        await worker.post("finish", outcome="succeeded")
    adapter_id = (await api.get(f"/jobs/{job['id']}"))["adapter_id"]
    assert (await api.get(f"/adapters/{adapter_id}"))["job_id"] == job["id"]
    assert [item["id"] for item in (await api.get("/adapters", id_prefix=adapter_id[:20]))["data"]] == [adapter_id]
    assert (await submit(api, customer))["adapter_id"] is None


async def test_running_job_tells_when_it_is_expected_to_end(
    api: Api, app: FastAPI, system: System, customer: Customer
) -> None:
    job = await submit(api, customer)
    assert job["expected_end"] is None
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.beat(1)
        end = (await api.get(f"/jobs/{job['id']}"))["expected_end"]
        assert end["p50"] < end["p90"]
    await api.post(f"/jobs/{job['id']}/pause")
    assert (await api.get(f"/jobs/{job['id']}"))["expected_end"] is None


async def test_waiting_job_whose_start_is_forecast_tells_its_end(api: Api, system: System, customer: Customer) -> None:
    await submit(api, customer)
    second = await submit(api, customer)
    await dispatch(system, gpus=1)
    waiting = await api.get(f"/jobs/{second['id']}")
    assert waiting["expected_start"] < waiting["expected_end"]["p50"] < waiting["expected_end"]["p90"]


def test_what_a_configuration_is_told_to_say_beside_it_is_said_there() -> None:
    assert {*BESIDE} <= {*JobIn.model_fields}
