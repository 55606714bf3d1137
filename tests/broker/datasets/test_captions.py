"""Captions over the API: listed, edited in bulk, each edit a version of its own."""

import pytest

from tests.broker.factories import Api, customer_api, make_customer
from tests.broker.picture_files import draw_picture, upload_pictures

FILES = {
    "a.png": draw_picture(number=1),
    "b.png": draw_picture(number=2),
    "b.txt": "red kettle, watermark",
    "c.png": draw_picture(number=3),
}


@pytest.fixture
async def dataset(api: Api):
    return await upload_pictures(api, (await make_customer(api))["id"], FILES)


async def list_captions(api: Api, dataset_id: str, **params: object) -> dict[str, str]:
    page = await api.get(f"/datasets/{dataset_id}/pictures", **params)
    return {each["name"]: each["caption"] for each in page["data"]}


async def test_pictures_are_listed_with_their_captions_page_by_page(api: Api, dataset) -> None:
    page = await api.get(f"/datasets/{dataset['id']}/pictures", limit=2)
    assert [(each["number"], each["name"], each["caption_file"]) for each in page["data"]] == [
        (0, "a.png", None),
        (1, "b.png", "b.txt"),
    ]
    assert await list_captions(api, dataset["id"], cursor=page["next_cursor"]) == {"c.png": ""}
    assert (await list_captions(api, dataset["id"], captioned=True)).keys() == {"b.png"}
    assert (await list_captions(api, dataset["id"], search="KETTLE")).keys() == {"b.png"}


async def test_an_edit_makes_the_next_version_and_leaves_the_data_as_it_was(api: Api, dataset) -> None:
    path = f"/datasets/{dataset['id']}/captions"
    body = {"scope": "missing", "caption": "an oak lamp", "trigger": "slwfry"}
    first = await api.post(path, body, expect=201, key="once")
    made = first["dataset"]
    assert (first["changed"], made["version"], made["origin"]) == (2, 2, "edit")
    assert (made["parent_id"], made["root_id"], made["usable_rows"]) == (dataset["id"], dataset["id"], 3)
    assert await list_captions(api, made["id"]) == {
        "a.png": "slwfry, an oak lamp",
        "b.png": "red kettle, watermark",
        "c.png": "slwfry, an oak lamp",
    }
    assert await list_captions(api, dataset["id"]) == {"a.png": "", "b.png": "red kettle, watermark", "c.png": ""}
    assert await api.post(path, body, expect=201, key="once") == first
    retagged = {"remove_tags": ["Watermark"], "add_tags": ["studio"], "trigger": "slwfry", "conflict": "prepend"}
    second = (await api.post(f"/datasets/{made['id']}/captions", retagged, expect=201))["dataset"]
    assert (second["version"], second["parent_id"], second["root_id"]) == (3, made["id"], dataset["id"])
    assert (await list_captions(api, second["id"]))["b.png"] == "slwfry, studio, red kettle"
    versions = (await api.get("/datasets", root_id=dataset["id"]))["data"]
    assert sorted(each["version"] for each in versions) == [2, 3]


async def test_a_dry_run_tells_what_would_change_and_makes_nothing(api: Api, dataset) -> None:
    body = {"captions": {"b.png": "blue cup"}, "conflict": "prepend", "dry_run": True}
    told = await api.post(f"/datasets/{dataset['id']}/captions", body, expect=201)
    change = {"name": "b.png", "before": "red kettle, watermark", "after": "blue cup, red kettle, watermark"}
    assert (told["changed"], told["first"], told["dataset"]) == (1, [change], None)
    assert len((await api.get("/datasets"))["data"]) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"caption": "x", "captions": {"a.png": "y"}}, "body"),
        ({"caption": "x", "add_tags": ["y"]}, "body"),
        ({"form": "sentences", "add_tags": ["y"]}, "body"),
        ({"scope": "selected", "caption": "x"}, "body"),
        ({"scope": "selected", "pictures": ["z.png"], "caption": "x"}, "pictures"),
        ({"captions": {"z.png": "x"}}, "captions"),
        ({"remove_tags": ["nowhere"]}, "scope"),
        ({"trigger": "t" * 99, "form": "sentences", "caption": "x" * 1990}, "caption"),
    ],
)
async def test_what_cannot_be_done_names_its_field(api: Api, dataset, body, field) -> None:
    refused = await api.post(f"/datasets/{dataset['id']}/captions", body, expect=422)
    assert refused["errors"][0]["field"] == field
    assert len((await api.get("/datasets"))["data"]) == 1


async def test_text_has_no_captions(api: Api) -> None:
    customer = await make_customer(api)
    sent = {"files": ("rows.jsonl", b'{"prompt": "a", "completion": "b"}')}
    made = (await api.call("POST", "/datasets", files=sent, data={"customer_id": customer["id"]}, expect=201)).json()
    assert (await api.get(f"/datasets/{made['id']}/pictures"))["data"] == []
    await api.post(f"/datasets/{made['id']}/captions", {"trigger": "ink"}, expect=422)


async def test_a_version_is_its_customers_own(api: Api, dataset) -> None:
    other = await make_customer(api)
    made = await api.post(f"/datasets/{dataset['id']}/captions", {"trigger": "ink"}, expect=201)
    async with customer_api(api, other["id"]) as stranger:
        await stranger.get(f"/datasets/{made['dataset']['id']}/pictures", expect=404)
        await stranger.post(f"/datasets/{dataset['id']}/captions", {"trigger": "ink"}, expect=404)
    async with customer_api(api, dataset["customer_id"]) as owner:
        await owner.post(f"/datasets/{dataset['id']}/captions", {"trigger": "ink"}, expect=201)
