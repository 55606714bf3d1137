"""A POST that is sent again with its key: the first answer again, and nothing done twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest

from broker.identity.model import hash_key
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    dispatch,
    jsonl,
    make_customer,
    make_ready_customer,
    submit_job,
    worker_api,
)
from tests.broker.rows import owner_connection, read_everything

KEY = {"Idempotency-Key": "order-17"}
REPLAYED = "Idempotency-Replayed"


@dataclass(frozen=True)
class Client:
    own: Api
    customer: Customer

    async def submit(self, key: str = "order-17", **fields: Any) -> httpx.Response:
        body = {"config": CONFIG, "dataset_id": self.customer.dataset["id"], **fields}
        return await self.own.call("POST", "/jobs", json=body, headers={"Idempotency-Key": key})

    async def upload(self, content: bytes, boundary: str, **form: str) -> httpx.Response:
        headers = {**KEY, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        return await self.own.call(
            "POST", "/datasets", files={"files": ("train.jsonl", content)}, data=form, headers=headers
        )


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        yield Client(own, customer)


def count_rows(urls: DatabaseUrls, table: str) -> int:
    with owner_connection(urls) as connection:
        row = connection.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchone()
        assert row is not None
        return int(str(row["n"]))


async def test_retry_gets_the_first_answer_and_writes_nothing(client: Client, urls: DatabaseUrls) -> None:
    first = await client.submit()
    before = read_everything(urls)
    again = await client.submit()
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert (REPLAYED in first.headers, again.headers[REPLAYED]) == (False, "true")
    assert read_everything(urls) == before


async def test_answer_stays_the_first_whatever_has_become_of_the_object(client: Client) -> None:
    first = await client.submit()
    await client.own.post(f"/jobs/{first.json()['id']}/cancel")
    assert (await client.submit()).json()["status"] == "queued"
    assert (await client.own.get(f"/jobs/{first.json()['id']}"))["status"] == "cancelled"


async def test_same_key_with_another_body_is_a_conflict(client: Client, urls: DatabaseUrls) -> None:
    await client.submit()
    before = read_everything(urls)
    response = await client.submit(queue="standard")
    assert response.status_code == 409
    problem = response.json()
    assert problem["type"] == "/problems/idempotency-conflict"
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert read_everything(urls) == before


async def test_same_key_at_another_address_is_a_conflict(client: Client) -> None:
    job = (await client.submit()).json()
    response = await client.own.call("POST", f"/jobs/{job['id']}/cancel", headers=KEY)
    assert response.status_code == 409
    assert (await client.own.get(f"/jobs/{job['id']}"))["status"] == "queued"


async def test_upload_with_another_boundary_is_the_same_request(client: Client, urls: DatabaseUrls) -> None:
    first = await client.upload(jsonl(), "one", name="tea")
    again = await client.upload(jsonl(), "two", name="tea")
    assert (first.status_code, again.headers[REPLAYED]) == (201, "true")
    assert again.json() == first.json()
    assert count_rows(urls, "datasets") == 2, "the client's own and this one"


@pytest.mark.parametrize(
    ("content", "form"),
    [(jsonl() + b"\n", {"name": "tea"}), (jsonl(), {"name": "coffee"}), (jsonl(), {})],
    ids=["another file", "another field", "a field less"],
)
async def test_upload_of_something_else_is_a_conflict(client: Client, content: bytes, form: dict[str, str]) -> None:
    await client.upload(jsonl(), "one", name="tea")
    assert (await client.upload(content, "one", **form)).status_code == 409


async def test_border_between_two_parts_is_part_of_the_request(client: Client) -> None:
    """Two files, and the one that is both of them put together, are not the same upload."""

    async def send(*contents: bytes) -> httpx.Response:
        files = [("files", ("train.jsonl", content)) for content in contents]
        return await client.own.call("POST", "/datasets", files=files, headers=KEY)

    assert (await send(jsonl())).status_code == 201
    assert (await send(jsonl()[:40], jsonl()[40:])).status_code == 409


async def test_twins_at_the_same_moment_write_once(client: Client, urls: DatabaseUrls) -> None:
    answers = await asyncio.gather(*(client.submit() for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers) == 1
    assert [count_rows(urls, table) for table in ("jobs", "holds", "idempotency_keys")] == [1, 1, 1]


async def test_twin_waits_for_a_first_that_fails_and_then_does_it_itself(client: Client, urls: DatabaseUrls) -> None:
    """One of two different bodies under one key wins; the other conflicts, whichever it is."""
    answers = await asyncio.gather(*(client.submit(queue=queue) for queue in ("standard", "nowhere") * 4))
    by_status = sorted(answer.status_code for answer in answers)
    assert by_status[:4] == [201] * 4
    assert set(by_status[4:]) <= {409, 422}
    assert [count_rows(urls, table) for table in ("jobs", "holds", "idempotency_keys")] == [1, 1, 1]


async def test_failed_request_frees_its_key(client: Client, urls: DatabaseUrls) -> None:
    refused = await client.submit(max_cost="0.000001")
    assert (refused.status_code, count_rows(urls, "idempotency_keys")) == (402, 0)
    assert (await client.submit()).status_code == 201


async def test_keys_of_two_customers_do_not_meet(api: Api, client: Client) -> None:
    other = await make_ready_customer(api)
    first = (await client.submit()).json()
    async with customer_api(api, other.id) as own:
        second = await Client(own, other).submit()
    assert (second.status_code, REPLAYED in second.headers) == (201, False)
    assert second.json()["customer_id"] == other.id != first["customer_id"]


async def test_customers_keys_share_the_customers_requests(api: Api, client: Client) -> None:
    """A key that is replaced between two tries changes nothing."""
    first = (await client.submit()).json()
    async with customer_api(api, client.customer.id) as replaced:
        again = await Client(replaced, client.customer).submit()
    assert again.json() == first


async def test_customer_and_its_run_do_not_meet(api: Api, client: Client, system: System) -> None:
    job = await submit_job(client.own, client.customer.dataset["id"], key="order-17")
    await dispatch(system)
    run_id = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]["id"]
    async with worker_api(api.app, system, run_id) as worker:
        claimed = await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1}, key="order-17")
    assert claimed["run_id"] == run_id


async def test_other_methods_ignore_the_header(client: Client, urls: DatabaseUrls) -> None:
    before = read_everything(urls)
    await client.own.call("GET", "/jobs", headers=KEY, expect=200)
    await client.own.call("GET", "/datasets", headers=KEY, expect=200)
    assert read_everything(urls) == before
    assert (await client.submit()).status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_key_must_have_a_length(client: Client, urls: DatabaseUrls, key: str) -> None:
    response = await client.submit(key)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"
    assert count_rows(urls, "jobs") == 0


async def test_longest_key_is_taken(client: Client) -> None:
    assert (await client.submit("k" * 255)).status_code == 201
    assert REPLAYED in (await client.submit("k" * 255)).headers


async def test_api_key_is_not_kept_in_clear_for_a_retry(api: Api, urls: DatabaseUrls) -> None:
    """A past fault: the kept answer held the key that is shown once."""
    path = f"/customers/{(await make_customer(api))['id']}/api-keys"
    first = await api.post(path, {"name": "laptop"}, expect=201, key="order-17")
    again = await api.post(path, {"name": "laptop"}, expect=201, key="order-17")
    assert again == {**first, "key": None}
    with owner_connection(urls) as connection:
        tables = connection.execute("SELECT body FROM idempotency_keys").fetchall()
        keys = connection.execute("SELECT key_hash FROM api_keys WHERE id = %s", [first["id"]]).fetchall()
    assert len(tables) == 1
    assert first["key"] not in str(tables)
    assert keys == [{"key_hash": hash_key(first["key"])}]


async def test_secret_made_for_a_webhook_is_not_kept_in_clear_for_a_retry(api: Api, urls: DatabaseUrls) -> None:
    """A past fault: that of an environment was kept and answered again."""
    told = {"name": "CI", "url": "https://hooks.example.com/lora", "customer_id": (await make_customer(api))["id"]}
    for path, more in (("/webhook-endpoints", {}), ("/environments", {"stage": "test", "kind": "webhook"})):
        first = await api.post(path, {**told, **more}, expect=201, key=path)
        assert await api.post(path, {**told, **more}, expect=201, key=path) == {**first, "secret": None}
        with owner_connection(urls) as connection:
            assert first["secret"] not in str(connection.execute("SELECT body FROM idempotency_keys").fetchall())
