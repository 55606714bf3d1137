"""The facade over the application; `tests/clients` asks with Together's own package."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

from tests.broker.factories import Api, jsonl, make_customer, sign_contract
from tests.nameless_files import list_nameless

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@asynccontextmanager
async def connect(api: Api, customer_id: str) -> AsyncIterator[httpx.AsyncClient]:
    made = await api.post(f"/customers/{customer_id}/api-keys", {"name": "tg", "max_cost": "5.00"}, expect=201)
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {made['key']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://broker/together/v1", headers=headers) as client:
        yield client


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    customer = await make_customer(api)
    await sign_contract(api, customer["id"])
    async with connect(api, customer["id"]) as client:
        yield client


async def announce(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    told = {
        "purpose": "fine-tune",
        "file_name": "train.jsonl",
        "file_type": "jsonl",
        "checksum": hashlib.sha256(content).hexdigest(),
    }
    return await client.post("/files", files={name: (None, value) for name, value in told.items()})


async def send(client: httpx.AsyncClient, address: str, content: bytes) -> httpx.Response:
    """Send a file to the address that was answered, without a key."""
    transport = client._transport
    async with httpx.AsyncClient(transport=transport, base_url="http://broker") as stranger:
        return await stranger.put(address, content=content)


async def upload(client: httpx.AsyncClient) -> str:
    announced = await announce(client, jsonl())
    assert (await send(client, announced.headers["location"], jsonl())).status_code == 200
    kept = await client.post(f"/files/{announced.headers['x-together-file-id']}/preprocess")
    return kept.raise_for_status().json()["id"]


async def test_a_file_is_announced_sent_without_a_key_and_kept_once(client):
    announced = await announce(client, jsonl())
    assert announced.status_code == 302
    address, file_id = announced.headers["location"], announced.headers["x-together-file-id"]
    key = client.headers["authorization"].removeprefix("Bearer ")
    assert key not in address
    assert (urlsplit(address).scheme, urlsplit(address).path) == ("http", "/together/uploads")
    assert (await client.post(f"/files/{file_id}/preprocess")).status_code == 404
    for _again in range(2):
        assert (await send(client, address, jsonl())).status_code == 200
    kept = (await client.post(f"/files/{file_id}/preprocess")).json()
    assert (kept["filename"], kept["bytes"], kept["FileType"]) == ("train.jsonl", len(jsonl()), "jsonl")
    assert kept["validation_report"]["valid"]
    assert [each["id"] for each in (await client.get("/files")).json()["data"]] == [kept["id"]]
    assert (await client.get(f"/files/{kept['id']}/content")).content == jsonl()
    assert (await client.delete(f"/files/{kept['id']}")).json()["deleted"]


async def test_a_form_that_no_table_keeps_is_refused_and_closed(client):
    """A past fault: the form was closed only where its handler was reached."""
    before = list_nameless()
    sent = {"files": {"file": ("a.jsonl", jsonl())}, "data": {"file_name": "a\x00b", "checksum": "0" * 64}}
    assert (await client.post("/files", **sent)).status_code == 400
    assert list_nameless() == before


async def test_an_address_takes_what_was_announced_for_an_hour_and_of_nobody_else(client, clock, api):
    address = (await announce(client, jsonl())).headers["location"]
    assert (await send(client, address, b"other")).json()["error"]["param"] == "file"
    assert (await send(client, address[:-4] + "AAAA", jsonl())).status_code == 403
    assert (await send(client, "/together/uploads?link=nonsense", jsonl())).status_code == 403
    clock.advance(minutes=61)
    assert (await send(client, address, jsonl())).status_code == 403
    assert (await client.get("/files")).json()["data"] == []
    other = await make_customer(api)
    announced = await announce(client, jsonl())
    await send(client, announced.headers["location"], jsonl())
    async with connect(api, other["id"]) as theirs:
        file_id = announced.headers["x-together-file-id"]
        assert (await theirs.post(f"/files/{file_id}/preprocess")).status_code == 404


async def test_a_price_is_a_quote_and_a_job_is_ordered_listed_and_cancelled(client):
    body = {"training_file": await upload(client), "model": MODEL, "n_epochs": 1}
    price = (await client.post("/fine-tunes/estimate-price", json=body)).json()
    assert (price["estimation_available"], price["allowed_to_proceed"], price["user_limit"]) == (True, True, 5.0)
    assert 0 < price["estimated_total_price"] < 5
    assert price["quote_id"].startswith("quo_")
    made = (await client.post("/fine-tunes", json={**body, "suffix": "tea"})).json()
    assert (made["status"], made["model"], made["suffix"]) == ("queued", "smollm2-135m-instruct", "tea")
    assert made["training_type"]["type"] == "Lora"
    assert made["total_price"] == 0  # nothing of it has run yet
    path = f"/fine-tunes/{made['id']}"
    assert (await client.get(path)).json() == made
    assert [each["id"] for each in (await client.get("/fine-tunes")).json()["data"]] == [made["id"]]
    assert (await client.post(f"{path}/cancel")).json()["status"] == "cancelled"
    events = (await client.get(f"{path}/events")).json()["data"]
    assert [each["type"] for each in events] == ["job_pending", "job_stopped"]
    assert (await client.get(f"{path}/metrics", params={"resolution": 10})).json() == {"metrics": []}
    assert (await client.get(f"{path}/checkpoints")).json() == {"data": []}
    nothing = await client.get("/finetune/download", params={"ft_id": made["id"]})
    assert (nothing.status_code, nothing.json()["error"]["param"]) == (400, "ft_id")
    assert (await client.delete(path)).status_code == 400


async def test_the_command_is_told_whose_key_it_is(client):
    told = (await client.get("http://broker/together/v3/whoami")).json()
    assert (told["type"], told["project"]) == ("project_api_key", told["organization"])
    assert told["project"]["id"].startswith("cus_")


async def test_limits_are_those_of_the_model_that_is_meant(client):
    told = (await client.get("/fine-tunes/models/limits", params={"model_name": MODEL})).json()
    assert (told["model_name"], told["supports_full_training"]) == ("smollm2-135m-instruct", False)
    unknown = await client.get("/fine-tunes/models/limits", params={"model_name": "nope"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")


async def test_what_a_client_sends_again_by_itself_is_one_job(client):
    body = {"training_file": await upload(client), "model": MODEL, "n_epochs": 1}
    first = (await client.post("/fine-tunes", json=body)).json()["id"]
    again = await client.post("/fine-tunes", json=body, headers={"x-stainless-retry-count": "1"})
    assert again.json()["id"] == first


async def test_what_is_refused_names_the_field_as_the_client_sent_it(client):
    file_id = await upload(client)
    refused = await client.post("/fine-tunes", json={"training_file": file_id, "model": MODEL, "n_epochs": 0})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n_epochs")
    assert refused.headers["x-should-retry"] == "false"
    missing = await client.post("/fine-tunes", json={"training_file": "dat_nope", "model": MODEL})
    assert missing.status_code == 404
    assert (await client.post("/rerank", json={})).status_code == 404
