"""GET /v1/quotes/{id}/offers: the quoted job on every device type, and the fastest and cheapest ways to run it."""

from typing import Any

from broker.system import System
from pricing.catalog import list_offered_skus
from tests.broker.factories import CONFIG, Api, jsonl, make_customer, make_ready_customer, upload_dataset
from tests.broker.pools import register_pool


async def make_quote(api: Api, **config: Any) -> Any:
    customer = await make_ready_customer(api)
    return await api.post("/quotes", {"config": CONFIG | config, "dataset_id": customer.dataset["id"]}, expect=201)


async def add_pool(system: System, sku: str) -> None:
    async with system.work() as work:
        await register_pool(work, name=sku, sku=sku, engine="local", total_gpus=2)


async def test_every_type_is_offered_and_those_of_pools_are_available(api: Api, system: System) -> None:
    await add_pool(system, "rtx-4090")
    await add_pool(system, "a40")
    quote = await make_quote(api)
    offers = await api.get(f"/quotes/{quote['id']}/offers")
    assert [offer["sku"] for offer in offers["data"]] == list_offered_skus(["a40"])
    assert {offer["sku"] for offer in offers["data"] if offer["available"]} == {"rtx-4090", "a40"}
    for offer in offers["data"]:
        assert offer["gpu_seconds"]["p50"] < offer["gpu_seconds"]["p90"]
        assert [price["plan"] for price in offer["prices"]] == ["on_demand", "prepaid", "long_term"]


async def test_the_quoted_configuration_costs_what_was_quoted(api: Api) -> None:
    quote = await make_quote(api)
    offers = await api.get(f"/quotes/{quote['id']}/offers", gpu="cpu")
    (offer,) = offers["data"]
    assert offer["prices"] == quote["prices"]
    assert offer["gpu_seconds"] == quote["estimate"]["gpu_seconds"]


async def test_the_fastest_is_faster_than_the_cpu_and_every_way_does_the_same_steps(api: Api, system: System) -> None:
    await add_pool(system, "rtx-4090")
    quote = await make_quote(api, batch_size=4, gradient_accumulation=2)
    offers = await api.get(f"/quotes/{quote['id']}/offers")
    assert offers["fastest"]["sku"] == "rtx-4090"
    assert offers["frontier"][0] == offers["fastest"]
    assert offers["frontier"][-1] == offers["cheapest"]
    assert all(offer["batch_size"] * offer["gradient_accumulation"] == 8 for offer in offers["frontier"])


async def test_a_type_that_no_pool_has_is_refused_with_those_there_are(api: Api) -> None:
    quote = await make_quote(api)
    for gpu, cure in (("h200", "there are: cpu"), ("rtx-4900", "did you mean rtx-4090?"), ("voodoo", ", cpu,")):
        problem = await api.get(f"/quotes/{quote['id']}/offers", gpu=gpu, expect=422)
        assert problem["errors"][0]["field"] == "gpu"
        assert cure in problem["errors"][0]["message"]


async def test_a_job_that_fits_nowhere_is_refused_with_the_change_that_would_fit(api: Api) -> None:
    customer = await make_customer(api)
    rows = [{"prompt": "Write a line.", "completion": "tea " * 1500}] * 64
    dataset = await upload_dataset(api, customer["id"], content=jsonl(rows))
    config = CONFIG | {"batch_size": 64, "gradient_checkpointing": False, "max_length": 2048, "precision": "fp32"}
    problem = await api.post("/quotes", {"config": config, "dataset_id": dataset["id"]}, expect=422)
    assert problem["errors"][0]["field"] == "config.batch_size"
    assert "set batch_size: 2, gradient_accumulation: 32" in problem["detail"]
    smaller = config | {"gradient_checkpointing": True, "batch_size": 2}
    assert (await api.post("/quotes", {"config": smaller, "dataset_id": dataset["id"]}, expect=201))["estimate"]["fit"]
