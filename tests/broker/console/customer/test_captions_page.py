"""Captions on the pages: edited one by one and many at once, and labelled for a price that is seen before."""

import pytest

from broker.config import Settings
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, make_ready_customer
from tests.broker.picture_files import draw_picture, upload_pictures

FILES = {"a.png": draw_picture(number=1), "b.png": draw_picture(number=2), "b.txt": "red kettle, watermark"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"captioners": "blip-base"})


async def list_captions(api: Api, dataset_id: str) -> dict[str, str]:
    page = await api.get(f"/datasets/{dataset_id}/pictures")
    return {each["name"]: each["caption"] for each in page["data"]}


def made_by(shown) -> str:
    """Tell which data set a form has led to."""
    return str(shown.response.headers["location"]).rpartition("/")[2]


async def test_single_captions_are_saved_where_they_are_other_than_before(api: Api) -> None:
    customer = await make_ready_customer(api)
    dataset = await upload_pictures(api, customer.id, FILES)
    path = f"/console/datasets/{dataset['id']}"
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(path)
        fields = {"caption-0": "an oak lamp, lit", "caption-1": "red kettle, watermark"}
        saved = await person.send(f"{path}/captions/each", fields, of=page, form="#pictures form")
        captions = await list_captions(api, made_by(saved))
        assert captions == {"a.png": "an oak lamp, lit", "b.png": "red kettle, watermark"}
        version = await person.open(f"/console/datasets/{made_by(saved)}")
        assert f"made of {dataset['id']}" in version.text
        same = await person.send(f"{path}/captions/each", {"caption-0": ""}, of=page, form="#pictures form")
        assert made_by(same) == dataset["id"]


async def test_many_captions_are_edited_at_once_and_a_refusal_says_why(api: Api) -> None:
    customer = await make_ready_customer(api)
    dataset = await upload_pictures(api, customer.id, FILES)
    path = f"/console/datasets/{dataset['id']}"
    async with sign_in_customer(api, customer.id, language="zh") as person:
        nothing = {"scope": "all", "conflict": "replace", "form": "tags"}
        page = await person.open(path)
        fields = {
            "scope": "all",
            "conflict": "replace",
            "form": "tags",
            "trigger": "ink",
            "remove_tags": "watermark，x",
        }
        changed = await person.send(f"{path}/captions", fields, of=page, form="#captions")
        assert await list_captions(api, made_by(changed)) == {"a.png": "ink", "b.png": "ink, red kettle"}
        again = await person.open(path)
        refused = await person.send(f"{path}/captions", nothing, of=again, form="#captions", expect=422)
        assert "没有指明要改什么" in refused.text


async def test_a_labelling_is_submitted_at_the_price_that_was_shown(api: Api) -> None:
    customer = await make_ready_customer(api)
    dataset = await upload_pictures(api, customer.id, FILES)
    path = f"/console/datasets/{dataset['id']}/label"
    fields = {"base_model": "blip-base", "scope": "missing", "trigger": "ink", "max_tokens": "20"}
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(path)
        priced = await person.send(path, fields | {"step": "quote"}, of=page, form=".order", expect=200)
        assert "1 pictures, at most 20 tokens" in priced.text
        sent = await person.send(path, fields | {"step": "submit"}, of=priced, form=".order")
        job = (await api.get("/jobs"))["data"][0]
        assert sent.response.headers["location"] == f"/console/jobs/{job['id']}"
        quoted = priced.hidden(".order")["quote_id"]
        assert (job["kind"], job["config"]["trigger"], job["quote_id"]) == ("auto_label", "ink", quoted)
        refused = await person.send(
            path, fields | {"max_tokens": "0", "step": "quote"}, of=page, form=".order", expect=422
        )
        assert "max_tokens" in refused.text
