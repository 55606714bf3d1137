"""The server as the protocol's own client asks it, unchanged: by today's revision and by the handshake before it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult

from tests.broker.factories import CONFIG, Api, make_customer, make_ready_customer, sign_contract

MODES = ["auto", "legacy"]
Told = dict[str, Any]


async def make_key(api: Api, customer_id: str, **fields: str) -> str:
    body = {"name": "assistant", **fields}
    return (await api.post(f"/customers/{customer_id}/api-keys", body, expect=201))["key"]


@asynccontextmanager
async def open_client(api: Api, key: str, **options: Any) -> AsyncIterator[Client]:
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://broker", headers=headers) as http,
        Client(streamable_http_client("http://broker/mcp", http_client=http), **options) as client,
    ):
        yield client


async def call(client: Client, name: str, /, **arguments: Any) -> Any:
    """Call a tool, and take what it answers; a refusal is an error of this test."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    told = result.structured_content
    assert told is not None
    return told["result"] if set(told) == {"result"} else told


async def find_refusal(client: Client, name: str, /, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return result.content[0].text


def answer(*, confirmed: bool, seen: list[str]) -> Callable[..., Any]:
    async def ask(_context: Any, params: Any) -> ElicitResult:
        seen.append(params.message)
        return ElicitResult(action="accept", content={"confirmed": confirmed})

    return ask


@pytest.mark.parametrize("mode", MODES)
async def test_from_a_quote_to_a_job_that_is_submitted_once(api, mode):
    ready = await make_ready_customer(api)
    async with open_client(api, await make_key(api, ready.id), mode=mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"quote_job", "submit_job", "watch_job"} <= names
        quote = await call(client, "quote_job", config=CONFIG, dataset_id=ready.dataset["id"])
        order = {
            "quote_id": quote["quote_id"],
            "confirmed_price": quote["price_p90"],
            "max_cost": "20.00",
            "name": "asked by an assistant",
        }
        job = await call(client, "submit_job", **order)
        assert (job["status"], job["name"]) == ("queued", "asked by an assistant")
        assert (await call(client, "submit_job", **order))["id"] == job["id"]
        assert (await call(client, "watch_job", job_id=job["id"], seconds=0))["id"] == job["id"]
        assert [each["id"] for each in await call(client, "list_jobs", status="queued")] == [job["id"]]
        assert "pending_reason" in await call(client, "explain_job", job_id=job["id"])
        assert (await call(client, "get_balance"))[0]["contract_id"] == quote["contract_id"]
        assert (await call(client, "cancel_job", job_id=job["id"]))["status"] == "cancelled"


async def test_a_person_is_asked_where_the_client_can_ask(api):
    ready = await make_ready_customer(api)
    key, seen = await make_key(api, ready.id), list[str]()
    async with open_client(api, key, elicitation_callback=answer(confirmed=False, seen=seen)) as client:
        quote = await call(client, "quote_job", config=CONFIG, dataset_id=ready.dataset["id"])
        order = {"quote_id": quote["quote_id"], "confirmed_price": quote["price_p90"], "max_cost": "20.00"}
        assert "declined" in await find_refusal(client, "submit_job", **order)
        assert quote["price_p90"] in seen[0]
        assert await call(client, "list_jobs") == []
    async with open_client(api, key, elicitation_callback=answer(confirmed=True, seen=seen)) as client:
        assert (await call(client, "submit_job", **order))["status"] == "queued"


async def test_nothing_is_submitted_but_at_the_price_that_was_confirmed(api):
    ready = await make_ready_customer(api)
    async with open_client(api, await make_key(api, ready.id, max_cost="20.00")) as client:
        quote = await call(client, "quote_job", config=CONFIG, dataset_id=ready.dataset["id"])
        order = {"quote_id": quote["quote_id"], "max_cost": "20.00"}
        told = await find_refusal(client, "submit_job", **order, confirmed_price="0.01")
        assert f"the quote says {quote['price_p90']} CNY" in told
        order["confirmed_price"] = quote["price_p90"]
        assert "max_cost" in await find_refusal(client, "submit_job", **{**order, "max_cost": "much"})
        assert "max_cost" in await find_refusal(client, "submit_job", **{**order, "max_cost": "NaN"})
        told = await find_refusal(client, "submit_job", **{**order, "max_cost": "20.01"})
        assert "this key may order 20.00 CNY a job" in told
        assert "quo_01unknown" in await find_refusal(client, "submit_job", **{**order, "quote_id": "quo_01unknown"})
        assert await call(client, "list_jobs") == []


async def test_refusals_name_the_field_and_the_cure(api):
    customer = await make_customer(api)
    ready = await make_ready_customer(api)
    async with open_client(api, await make_key(api, customer["id"])) as client:
        assert "dat_01unknown" in await find_refusal(client, "quote_job", config=CONFIG, dataset_id="dat_01unknown")
        other = await find_refusal(client, "quote_job", config=CONFIG, dataset_id=ready.dataset["id"])
        assert ready.dataset["id"] in other  # another tenant's is not there
        assert "../" in await find_refusal(client, "watch_job", job_id="../keys")
    async with open_client(api, await make_key(api, ready.id)) as client:
        misspelt = {**CONFIG, "lora_rnk": 8}
        assert "lora_rnk" in await find_refusal(client, "quote_job", config=misspelt, dataset_id=ready.dataset["id"])
        await sign_contract(api, ready.id, contract_number="second")
        quote = await call(client, "quote_job", config=CONFIG, dataset_id=ready.dataset["id"])
        order = {"quote_id": quote["quote_id"], "confirmed_price": quote["price_p90"], "max_cost": "20.00"}
        assert "contract_id" in await find_refusal(client, "submit_job", **order)
        told = await find_refusal(client, "submit_job", **order, contract_id="con_01unknown")
        assert f"name the contract that pays, one of {quote['contract_id']}" in told


async def test_the_door_wants_a_key_and_a_message(api):
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://broker") as http:
        refused = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert (refused.status_code, "www-authenticate" in refused.headers) == (401, True)
        assert (await http.get("/mcp")).status_code == 405


async def test_a_message_counts_as_a_request_of_its_key(api):
    """A past fault: messages that ask for nothing of the REST API were as many as anybody liked."""
    customer = await make_customer(api)
    key = await make_key(api, customer["id"])
    async with Api.connect(api.app, key) as own:
        made = (await own.get("/whoami"))["api_key"]["id"]
    await api.call("PATCH", f"/api-keys/{made}", expect=200, json={"requests_per_minute": 2})
    api.app.state.rate_limits.windows.clear()
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(transport=transport, base_url="http://broker", headers=headers) as http:
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answers = [await http.post("/mcp", json=listing) for _ in range(3)]
    assert [each.status_code for each in answers][-1] == 429
    assert "retry-after" in answers[-1].headers
    assert "ratelimit" in answers[0].headers


async def test_a_member_submits_in_its_project(api):
    """A past fault: a key that is confined to projects could name none, and submit nothing."""
    ready = await make_ready_customer(api)
    project = await api.post("/projects", {"name": "styles", "customer_id": ready.id}, expect=201)
    body = {"name": "assistant", "confined_to_projects": True}
    made = await api.post(f"/customers/{ready.id}/api-keys", body, expect=201)
    path = f"/projects/{project['id']}/members/{made['id']}"
    await api.call("PUT", path, expect=200, json={"role": "member"})
    async with open_client(api, made["key"]) as client:
        quote = await call(client, "quote_job", config=CONFIG, dataset_id=ready.dataset["id"])
        order = {"quote_id": quote["quote_id"], "confirmed_price": quote["price_p90"], "max_cost": "20.00"}
        assert project["id"] in await find_refusal(client, "submit_job", **order)
        job = await call(client, "submit_job", **order, project_id=project["id"])
        assert (await api.get(f"/jobs/{job['id']}"))["project_id"] == project["id"]
