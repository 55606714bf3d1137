"""A job goes on from an adapter of its own customer that fits; the worker is handed it, and it stays as long."""

from fastapi import FastAPI

from broker.adapters.service import get_adapter
from broker.retention.service import sweep
from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import CONFIG, Api, Customer, customer_api, make_ready_customer, submit_job
from tests.broker.worker_calls import dispatched_worker


async def make_adapter(api: Api, app: FastAPI, system: System) -> tuple[Customer, str]:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        assert (await worker.claim())["init_adapter"] is None
        await worker.finish("succeeded")
    async with customer_api(api, customer.id) as own:
        return customer, (await own.get("/adapters"))["data"][0]["id"]


async def test_a_job_goes_on_from_an_adapter_and_its_lineage_is_told(api: Api, app: FastAPI, system: System) -> None:
    customer, adapter_id = await make_adapter(api, app, system)
    config = {**CONFIG, "init_from": adapter_id}
    async with customer_api(api, customer.id) as own:
        job = await submit_job(own, customer.dataset["id"], config=config)
        assert job["config"]["init_from"] == adapter_id
        assert "init_from" not in (await submit_job(own, customer.dataset["id"]))["config"]
        quote = await own.post("/quotes", {"config": config, "dataset_id": customer.dataset["id"]}, expect=201)
        await submit_job(own, customer.dataset["id"], quote_id=quote["id"], config=quote["config"])
        refused = await own.call("DELETE", f"/adapters/{adapter_id}", expect=409)
        assert job["id"] in refused.json()["detail"]
        async with dispatched_worker(api, app, system, job["id"]) as worker:
            told = await worker.claim()
            assert told["config"]["init_from"] == adapter_id
            path = told["init_adapter"]["url"].removeprefix("/v1")
            assert (await worker.api.call("GET", path, expect=200)).content == safetensors_file()
            await worker.finish("succeeded")
        child = (await own.get("/adapters"))["data"][0]
        assert child["init_from"] == adapter_id
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(f"/console/adapters/{child['id']}")
        assert f"/console/adapters/{adapter_id}" in shown.attributes("#lineage a", "href")
        parent = await person.open(f"/console/adapters/{adapter_id}")
        assert f"/console/adapters/{child['id']}" in parent.attributes("#lineage a", "href")
        form = await person.open("/console/jobs/new", continue_from=adapter_id)
        assert form.attributes("#f-init_from option[selected]", "value") == [adapter_id]
        assert form.attributes("[name='config.epochs']", "value") == [str(CONFIG["epochs"])]


async def test_what_does_not_fit_or_is_nobodys_is_refused_at_its_key(api: Api, app: FastAPI, system: System) -> None:
    customer, adapter_id = await make_adapter(api, app, system)
    other = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own, customer_api(api, other.id) as stranger:
        for asking, data, changes, field in (
            (own, customer.dataset, {"lora_rank": 4}, "config.lora_rank"),
            (own, customer.dataset, {"variant": "dora"}, "config.variant"),
            (own, customer.dataset, {"init_from": "ada_none"}, "config.init_from"),
            (own, customer.dataset, {"init_from": "./file"}, "config.init_from"),
            (stranger, other.dataset, {}, "config.init_from"),
        ):
            body = {"config": {**CONFIG, "init_from": adapter_id, **changes}, "dataset_id": data["id"]}
            refused = await asking.post("/jobs", body, expect=422)
            assert [each["field"] for each in refused["errors"]] == [field]
        batch = {"configs": [CONFIG, {**CONFIG, "init_from": "ada_none"}], "dataset_id": customer.dataset["id"]}
        refused = await own.post("/jobs/batch", batch, expect=422)
        assert [each["field"] for each in refused["errors"]] == ["configs.1.init_from"]
        await own.call("DELETE", f"/adapters/{adapter_id}", expect=204)
        gone = {"config": {**CONFIG, "init_from": adapter_id}, "dataset_id": customer.dataset["id"]}
        await own.post("/jobs", gone, expect=422)


async def test_adapter_that_was_deleted_while_a_job_came_in_stays_until_that_job_is_over(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """A past fault: a submission that had looked before found no file when it ran; so did one of another contract."""
    customer, adapter_id = await make_adapter(api, app, system)
    async with customer_api(api, customer.id) as own:
        job = await submit_job(own, customer.dataset["id"], config={**CONFIG, "init_from": adapter_id})
    async with system.work() as work:
        adapter = await get_adapter(work, adapter_id)
        key, adapter.deleted_at = adapter.storage_key, work.now
    clock.advance(minutes=11)
    await sweep(system)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        path = (await worker.claim())["init_adapter"]["url"].removeprefix("/v1")
        assert (await worker.api.call("GET", path, expect=200)).content == safetensors_file()
        await worker.finish("succeeded")
    assert await system.services.storage.size(key) > 0
    await sweep(system)
    assert await system.services.storage.size(key) == 0
