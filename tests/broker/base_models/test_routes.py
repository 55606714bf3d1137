"""Which base models there are, and what a name is answered that stands for none that can be quoted."""

from typing import Any

import pytest

from broker.base_models.service import add_model, remove_model
from broker.system import System
from pricing.catalog import load_base_models
from tests.broker.base_models.descriptions import describe_tiny
from tests.broker.factories import CONFIG, Api, customer_api, make_ready_customer, submit_job

SHIPPED = ["sd-1.5", "sdxl-1.0", "smollm2-135m-instruct"]
KNOWN = sorted(load_base_models())


async def list_all(api: Api, **params: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = await api.get("/base-models", **params, **({"cursor": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_every_model_is_listed_once_over_pages_with_why_it_cannot_be_quoted(api: Api) -> None:
    models = await list_all(api, limit=7)
    assert [model["name"] for model in models] == KNOWN
    assert [model["name"] for model in models if model["can_be_quoted"]] == SHIPPED
    by_name = {model["name"]: model for model in models}
    assert by_name["llama-2-7b"]["needs"] == ["weights", "tokenizer"]
    assert "broker models add FOLDER --name llama-2-7b" in by_name["llama-2-7b"]["reason"]
    assert by_name["sd-1.5"] | {"needs": ["weights"], "reason": None, "learns_from": "images"} == by_name["sd-1.5"]


async def test_those_that_can_be_quoted_are_listed_alone(api: Api) -> None:
    assert [model["name"] for model in await list_all(api, can_be_quoted=True)] == SHIPPED
    assert len(await list_all(api, can_be_quoted=False)) == len(KNOWN) - len(SHIPPED)


async def test_added_model_is_on_offer_at_once_and_gone_once_removed(api: Api, system: System) -> None:
    ready = await make_ready_customer(api)
    order = {"config": {**CONFIG, "base_model": "Our Own"}, "dataset_id": ready.dataset["id"]}
    await api.post("/quotes", order, expect=422)
    async with system.work() as work:
        await add_model(work, describe_tiny("our-own"))
    quote = await api.post("/quotes", order, expect=201)
    assert quote["estimate"]["base_model"] == "our-own"
    assert quote["estimate"]["tokens"] > 0
    shown = await api.get("/base-models/our-own")
    assert (shown["origin"], shown["sha256"], shown["can_be_quoted"], shown["needs"]) == (
        "operator",
        "a" * 64,
        True,
        [],
    )
    async with system.work() as work:
        await remove_model(work, "our-own")
    await api.post("/quotes", order, expect=422)
    await api.get("/base-models/our-own", expect=404)
    assert (await api.get(f"/quotes/{quote['id']}"))["id"] == quote["id"], "what was quoted stays readable"


async def test_model_of_the_catalogue_whose_files_are_added_is_quoted_by_its_name_and_aliases(
    api: Api, system: System
) -> None:
    ready = await make_ready_customer(api)
    async with system.work() as work:
        await add_model(work, describe_tiny("llama-2-7b", aliases=("Llama2-7B",)))
    order = {"config": {**CONFIG, "base_model": "Llama2-7B"}, "dataset_id": ready.dataset["id"]}
    assert (await api.post("/quotes", order, expect=201))["estimate"]["base_model"] == "llama-2-7b"
    assert len(await list_all(api)) == len(KNOWN), "it is the same model, not a further one"


async def test_quote_of_other_files_under_the_same_name_is_no_longer_accepted(api: Api, system: System) -> None:
    ready = await make_ready_customer(api)
    async with system.work() as work:
        await add_model(work, describe_tiny("our-own"))
    config = {**CONFIG, "base_model": "our-own"}
    quote = await api.post("/quotes", {"config": config, "dataset_id": ready.dataset["id"]}, expect=201)
    async with system.work() as work:
        await remove_model(work, "our-own")
    async with system.work() as work:
        await add_model(work, describe_tiny("our-own", sha256="b" * 64))
    async with customer_api(api, ready.id) as customer:
        problem = await submit_job(customer, ready.dataset["id"], config=config, quote_id=quote["id"], expect=409)
    assert problem["type"].endswith("quote-mismatch")


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ("./models/Stable-diffusion/v1-5-pruned.safetensors", "send it as `sd-1.5`"),
        ("C:\\models\\sd_xl_base_1.0.safetensors", "send it as `sdxl-1.0`"),
        ("models/Stable-diffusion/v1-5-pruned-emaonly-fp16.safetensors", "send it as `sd-1.5`"),
        ("/srv/models/of-my-own.safetensors", "on offer: sd-1.5, sdxl-1.0, smollm2-135m-instruct"),
        ("./models/chatglm3-6b/", "broker models add FOLDER --name chatglm3-6b"),
        ("llama-2-7b", "on offer: sd-1.5, sdxl-1.0, smollm2-135m-instruct"),
        ("smollm2-135m-instuct", "did you mean smollm2-135m-instruct?"),
        ("no-such-model", "on offer: sd-1.5, sdxl-1.0, smollm2-135m-instruct"),
    ],
)
async def test_name_that_is_not_on_offer_is_answered_by_those_that_are(api: Api, named: str, answer: str) -> None:
    """Guards a past fault: a path was answered by all names, three of which could be quoted."""
    ready = await make_ready_customer(api)
    order = {"config": {**CONFIG, "base_model": named}, "dataset_id": ready.dataset["id"]}
    problem = await api.post("/quotes", order, expect=422)
    (error,) = problem["errors"]
    assert error["field"] == "config.base_model"
    assert answer in error["message"]
    assert "falcon-7b" not in error["message"]
    await api.post("/jobs", {**order, "customer_id": ready.id}, expect=422)
