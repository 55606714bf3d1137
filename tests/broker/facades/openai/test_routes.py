"""The facade over the application, as the OpenAI clients ask it; `tests/clients` asks with the clients themselves."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2 as httpx
import pytest

from tests.broker.factories import Api, dispatch, make_customer, make_ready_customer, sign_contract

ROWS = b"\n".join(
    json.dumps(
        {"messages": [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": f"Cup {n}."}]}
    ).encode()
    for n in range(8)
)
ORDER = {"model": "smollm2-135m-instruct", "hyperparameters": {"n_epochs": 1}}


@asynccontextmanager
async def client_of(api: Api, customer_id: str, **key: object) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the facade, with a key of the customer's that may order within 5 yuan."""
    fields = {"name": "openai", "max_cost": "5.00", **key}
    made = await api.post(f"/customers/{customer_id}/api-keys", fields, expect=201)
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {made['key']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://broker/openai/v1", headers=headers) as client:
        yield client


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    customer = await make_customer(api)
    await sign_contract(api, customer["id"])
    async with client_of(api, customer["id"]) as client:
        yield client


async def upload(client: httpx.AsyncClient, content: bytes = ROWS, **headers: str) -> dict:
    sent = {"file": ("train.jsonl", content), "purpose": (None, "fine-tune")}
    return (await client.post("/files", files=sent, headers=headers)).raise_for_status().json()


async def order(client: httpx.AsyncClient, file_id: str, *, headers: dict | None = None, **changes: object):
    return await client.post("/fine_tuning/jobs", json={**ORDER, "training_file": file_id, **changes}, headers=headers)


async def test_a_file_is_a_data_set_that_comes_back_as_it_was(client):
    made = await upload(client)
    assert (made["object"], made["purpose"], made["filename"], made["bytes"]) == (
        "file",
        "fine-tune",
        "train.jsonl",
        len(ROWS),
    )
    assert (await client.get(f"/files/{made['id']}/content")).content == ROWS
    listed = (await client.get("/files")).json()
    assert [each["id"] for each in listed["data"]] == [made["id"]]
    assert (listed["object"], listed["has_more"], listed["last_id"]) == ("list", False, made["id"])
    assert (await client.delete(f"/files/{made['id']}")).json() == {
        "id": made["id"],
        "object": "file",
        "deleted": True,
    }
    assert (await client.get(f"/files/{made['id']}")).status_code == 404


async def test_a_job_is_ordered_listed_paused_resumed_and_cancelled(client):
    file_id = (await upload(client))["id"]
    made = (await order(client, file_id, metadata={"team": "search"}, suffix="tea", seed=3)).json()
    assert (made["object"], made["status"], made["model"]) == ("fine_tuning.job", "queued", "smollm2-135m-instruct")
    assert (made["training_file"], made["seed"], made["metadata"]) == (file_id, 3, {"team": "search"})
    assert made["method"]["supervised"]["hyperparameters"]["n_epochs"] == 1
    assert made["lora"]["limit"] == {"amount": "5.00", "currency": "CNY"}
    path = f"/fine_tuning/jobs/{made['id']}"
    assert (await client.get(path)).json() == made
    assert (await client.post(f"{path}/pause")).json()["lora"]["status"] == "paused"
    assert (await client.post(f"{path}/resume")).json()["lora"]["status"] == "queued"
    assert (await client.post(f"{path}/cancel")).json()["status"] == "cancelled"
    events = (await client.get(f"{path}/events")).json()["data"]
    assert events[0]["message"].startswith("Cancelled")
    assert events[-1]["message"].startswith("Submitted to queue")
    assert (await client.get(f"{path}/checkpoints")).json()["data"] == []


async def test_events_go_on_behind_the_one_that_is_named_the_newest_first(client, system):
    made = (await order(client, (await upload(client))["id"])).json()
    await dispatch(system)
    path = f"/fine_tuning/jobs/{made['id']}/events"
    first = (await client.get(path, params={"limit": 1})).json()
    assert first["has_more"]
    assert len(first["data"]) == 1
    rest = (await client.get(path, params={"after": first["last_id"]})).json()
    everything = (await client.get(path)).json()["data"]
    assert [*first["data"], *rest["data"]] == everything
    assert not rest["has_more"]


async def test_jobs_are_listed_page_by_page_with_the_last_id_as_cursor(client):
    file_id = (await upload(client))["id"]
    made = [(await order(client, file_id, seed=seed)).json()["id"] for seed in range(3)]
    first = (await client.get("/fine_tuning/jobs", params={"limit": 2})).json()
    rest = (await client.get("/fine_tuning/jobs", params={"limit": 2, "after": first["last_id"]})).json()
    assert [each["id"] for each in [*first["data"], *rest["data"]]] == made[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_what_a_client_sends_again_by_itself_is_done_once_and_a_second_order_is_a_second(client):
    file_id, again = (await upload(client))["id"], {"x-stainless-retry-count": "1"}
    first = (await order(client, file_id)).json()["id"]
    assert (await order(client, file_id, headers=again)).json()["id"] == first
    second = (await order(client, file_id)).json()["id"]
    assert second != first
    assert (await order(client, file_id, headers=again)).json()["id"] == second
    assert (await upload(client, **again))["id"] == file_id


async def test_what_is_sent_again_after_a_while_is_a_new_order(client, clock):
    file_id = (await upload(client))["id"]
    first = (await order(client, file_id)).json()["id"]
    clock.advance(minutes=16)
    assert (await order(client, file_id, headers={"x-stainless-retry-count": "1"})).json()["id"] != first


async def test_a_key_of_the_clients_own_is_honoured(client):
    file_id, keyed = (await upload(client))["id"], {"Idempotency-Key": "mine"}
    first = (await order(client, file_id, headers=keyed)).json()["id"]
    assert (await order(client, file_id, headers=keyed)).json()["id"] == first


async def test_a_key_without_a_limit_orders_nothing_that_has_none(api):
    customer = await make_ready_customer(api)
    async with client_of(api, customer.id, max_cost=None) as client:
        refused = await order(client, customer.dataset["id"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "max_cost_missing")
        taken = await order(client, customer.dataset["id"], lora={"max_cost": "2.00"})
        assert taken.json()["lora"]["max_cost"]["amount"] == "2.00"


@pytest.mark.parametrize(
    ("changes", "status", "param", "code"),
    [
        ({"model": "nope"}, 400, "model", "invalid_training_config"),
        ({"hyperparameters": {"n_epochs": 0}}, 400, "method.supervised.hyperparameters.n_epochs", None),
        ({"metadata": {"Team A": "x"}}, 400, "metadata.Team A", "invalid_request"),
        ({"lora": {"nonsense": 1}}, 400, "lora.nonsense", "invalid_training_config"),
        ({"lora": {"max_cost": "0.000001"}}, 402, "lora.max_cost", "insufficient_quota"),
        ({"training_file": "dat_nope"}, 404, None, "not_found"),
    ],
)
async def test_what_is_refused_names_the_field_as_the_client_sent_it_and_is_not_sent_again(
    client, changes, status, param, code
):
    file_id = (await upload(client))["id"]
    refused = await client.post("/fine_tuning/jobs", json={**ORDER, "training_file": file_id, **changes})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (status, param)
    assert code is None or error["code"] == code
    assert refused.headers["x-should-retry"] == "false"
    assert param is None or error["message"].startswith(param) or status == 402


async def test_nothing_of_another_tenant_is_found(api, client):
    other = await make_ready_customer(api)
    async with client_of(api, other.id) as theirs:
        job = (await order(theirs, other.dataset["id"])).json()["id"]
    for path in (f"/files/{other.dataset['id']}", f"/files/{other.dataset['id']}/content", f"/fine_tuning/jobs/{job}"):
        assert (await client.get(path)).status_code == 404
    assert (await order(client, other.dataset["id"])).status_code == 404
    assert (await client.get("/fine_tuning/jobs")).json()["data"] == []


async def test_models_are_those_that_can_be_trained(client):
    listed = (await client.get("/models")).json()["data"]
    assert "smollm2-135m-instruct" in {each["id"] for each in listed}
    assert (await client.get("/models/smollm2-135m-instruct")).json()["object"] == "model"
    assert (await client.delete("/models/smollm2-135m-instruct")).status_code == 400
    assert (await client.get("/models/ft%3Aa%3Ab%3Ac%3Aada_nope")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/assistants", 404), ("POST", "/embeddings", 404), ("GET", "/files/a/b/c", 404)],
)
async def test_what_is_not_offered_is_told_in_the_clients_form(client, method, path, status):
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, "invalid_request_error")


async def test_a_wrong_key_and_a_body_that_is_no_object_are_told_in_the_clients_form(client):
    refused = await client.get("/files", headers={"Authorization": "Bearer lbk_nope"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
    for body in (b"[]", b"nonsense", b'"text"'):
        refused = await client.post("/fine_tuning/jobs", content=body, headers={"content-type": "application/json"})
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_without_an_inference_server_a_chat_says_so(client):
    refused = await client.post("/chat/completions", json={"model": "smollm2-135m-instruct", "messages": []})
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "model")


async def test_staff_does_not_chat_with_what_is_a_customers(api):
    refused = await api.http.post("/openai/v1/chat/completions", json={"model": "ft:m:ada_1", "messages": []})
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")


@pytest.mark.parametrize(
    "body",
    [b'{"seed": NaN}', b'{"model": "\\ud800"}', b'{"model": "a", "model": "b"}', b"[" * 100_000, b'{"seed": 1e999}'],
)
async def test_a_body_that_no_table_keeps_is_refused_and_not_sent_again(client, body):
    refused = await client.post("/fine_tuning/jobs", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 400, refused.text
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/models/ft:m:..%2Fapi-keys%2Fkey_1"),
        ("GET", "/models/ft:m:ada_1%2Fdownload"),
        ("GET", "/models/..%2Fwhoami"),
        ("GET", "/files/..%2Fwhoami"),
        ("GET", "/fine_tuning/jobs/job_1%00"),
    ],
)
async def test_what_is_no_name_leads_to_no_other_path(client, method, path):
    answer = await client.request(method, path)
    assert answer.status_code in {400, 404}, answer.text
    assert "error" in answer.json()
