"""Deleting a data set or an adapter: gone for its owner, kept for what invoices and live jobs need."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import CONFIG, Api, Customer, customer_api, dispatch, make_ready_customer, submit_job
from tests.broker.tenants import finish_job


@pytest.fixture
async def ready(api: Api) -> Customer:
    return await make_ready_customer(api)


async def list_ids(api: Api, path: str) -> list[str]:
    return [item["id"] for item in (await api.get(path))["data"]]


async def test_deleted_data_set_is_gone_and_nothing_is_sold_on_it(api: Api, ready: Customer) -> None:
    path = f"/datasets/{ready.dataset['id']}"
    order = {"config": CONFIG, "dataset_id": ready.dataset["id"]}
    quote = await api.post("/quotes", order, expect=201)
    async with customer_api(api, ready.id) as own:
        await own.call("DELETE", path, expect=204)
        await own.call("DELETE", path, expect=404)
        await own.get(path, expect=404)
        assert await list_ids(own, "/datasets") == []
        await own.post("/quotes", order, expect=404)
        await own.post("/quotes/batch", {"configs": [CONFIG], "dataset_id": ready.dataset["id"]}, expect=404)
        await submit_job(own, ready.dataset["id"], expect=404)
        await submit_job(own, ready.dataset["id"], quote_id=quote["id"], expect=404)
        await own.get(f"/quotes/{quote['id']}")


async def test_data_set_of_a_job_that_is_not_over_stays(api: Api, ready: Customer) -> None:
    async with customer_api(api, ready.id) as own:
        job = await submit_job(own, ready.dataset["id"])
        refused = await own.call("DELETE", f"/datasets/{ready.dataset['id']}", expect=409)
        assert job["id"] in refused.json()["detail"]
        await own.post(f"/jobs/{job['id']}/pause")
        await own.call("DELETE", f"/datasets/{ready.dataset['id']}", expect=409)
        await own.post(f"/jobs/{job['id']}/cancel")
        await own.call("DELETE", f"/datasets/{ready.dataset['id']}", expect=204)
        assert (await own.get(f"/jobs/{job['id']}"))["dataset_id"] == ready.dataset["id"]


async def test_data_set_deleted_while_jobs_are_submitted_has_no_live_job(api: Api, ready: Customer) -> None:
    """Of the two at once one is refused: a job never stands on a data set that is gone."""

    async def submit(own: Api) -> Any:
        return await own.call("POST", "/jobs", json={"config": CONFIG, "dataset_id": ready.dataset["id"]})

    async with customer_api(api, ready.id) as own:
        deletion, *jobs = await asyncio.gather(
            own.call("DELETE", f"/datasets/{ready.dataset['id']}"), *(submit(own) for _ in range(4))
        )
    taken = [job for job in jobs if job.status_code == 201]
    assert deletion.status_code == (409 if taken else 204)


async def test_deleted_adapter_is_gone_and_its_jobs_money_stays(
    api: Api, app: FastAPI, system: System, ready: Customer
) -> None:
    async with customer_api(api, ready.id) as own:
        job = await submit_job(own, ready.dataset["id"])
        await dispatch(system)
        await finish_job(api, system, job["id"])
        (adapter,) = await list_ids(own, "/adapters")
        spent = (await own.get(f"/jobs/{job['id']}"))["cost"]
        await own.call("DELETE", f"/adapters/{adapter}", expect=204)
        assert await list_ids(own, "/adapters") == []
        await own.get(f"/adapters/{adapter}", expect=404)
        await own.get(f"/adapters/{adapter}/download", expect=404)
        await own.call("DELETE", f"/adapters/{adapter}", expect=404)
        done = await own.get(f"/jobs/{job['id']}")
        assert (done["status"], done["cost"], done["adapter_id"]) == ("succeeded", spent, None)
        again = await submit_job(own, ready.dataset["id"])
        await dispatch(system)
        await finish_job(api, system, again["id"])
        (later,) = (await own.get("/adapters"))["data"]
        assert later["version"] == 2, "a version is not given twice"
