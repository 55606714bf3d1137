"""Decisions of staff are recorded with what they decide, or not at all."""

from typing import Any

import pytest

from broker.processes.boot import DatabaseUrls
from tests.broker.factories import (
    Api,
    customer_api,
    make_customer,
    make_ready_customer,
    sign_contract,
    staff_key,
    submit_job,
)
from tests.broker.rows import owner_connection


def read_entries(urls: DatabaseUrls) -> list[dict[str, Any]]:
    with owner_connection(urls) as connection:
        return list(connection.execute("SELECT * FROM audit_entries ORDER BY id").fetchall())


async def test_decision_says_who_did_what_to_which_object(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_customer(api, "Acme")
    async with Api.connect(api.app, await staff_key(api, "finance")) as finance:
        contract = await sign_contract(finance, customer["id"], plan="prepaid", committed_gpu_hours=500)
    entries = read_entries(urls)
    assert [entry["action"] for entry in entries] == ["create_customer", "create_staff_key", "create_contract"]
    signed = entries[-1]
    assert (signed["actor_role"], signed["object_id"], signed["customer_id"]) == (
        "finance",
        contract["id"],
        customer["id"],
    )
    assert signed["sent"]["committed_gpu_hours"] == 500
    assert entries[0]["customer_id"] == entries[0]["object_id"] == customer["id"]
    assert signed["actor_id"] != entries[0]["actor_id"]


async def test_revoked_key_and_closed_pool_are_on_record(api: Api, urls: DatabaseUrls) -> None:
    """A past fault: nobody could tell who had revoked a key or closed a queue."""
    made = await api.post("/api-keys", {"name": "x", "role": "ops"}, expect=201)
    await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
    await api.call("PATCH", "/queues/standard", expect=200, json={"open": False})
    revoked, closed = read_entries(urls)[-2:]
    assert (revoked["action"], revoked["object_id"]) == ("revoke_api_key", made["id"])
    assert (closed["action"], closed["object_id"], closed["sent"]) == ("change_queue", "standard", {"open": False})


async def test_no_secret_is_kept(api: Api, urls: DatabaseUrls) -> None:
    key = await staff_key(api, "ops")
    assert key not in str(read_entries(urls))


@pytest.mark.parametrize("replayed", [False, True])
async def test_refusals_reads_and_retries_are_no_decisions(api: Api, urls: DatabaseUrls, replayed: bool) -> None:
    await api.post("/customers", {"name": "Acme"}, expect=201, key="k")
    before = read_entries(urls)
    if replayed:
        await api.post("/customers", {"name": "Acme"}, expect=201, key="k")
    else:
        await api.post("/customers", {"name": "Acme"}, expect=409)
        await api.get("/customers")
    assert read_entries(urls) == before


async def test_what_customers_and_workers_do_is_not_in_it(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        before = read_entries(urls)
        job = await submit_job(own, customer.dataset["id"])
        await own.post(f"/jobs/{job['id']}/pause")
    assert read_entries(urls) == before


async def test_upload_by_staff_is_told_by_its_file_names(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api)
    uploaded = next(entry for entry in read_entries(urls) if entry["action"] == "upload_dataset")
    assert uploaded["object_id"] == customer.dataset["id"]
    assert uploaded["sent"] == {"customer_id": customer.id, "files": "train.jsonl"}


async def test_long_body_is_told_by_its_length(api: Api, urls: DatabaseUrls) -> None:
    content = b'{"name": "Acme"' + b" " * 20_000 + b"}"
    headers = {"Content-Type": "application/json"}
    await api.call("POST", "/customers", expect=201, content=content, headers=headers)
    assert read_entries(urls)[-1]["sent"] == {"body_bytes": len(content)}


async def test_record_is_searched_by_words_and_by_whom_it_concerns(api: Api) -> None:
    customer = await make_customer(api, "Acme")
    await api.call("PATCH", f"/customers/{customer['id']}", expect=200, json={"requests_per_minute": 7_311})
    await api.call("PATCH", "/queues/standard", expect=200, json={"weight": 120, "reason": "Launch 促销 100%"})

    async def find(**wanted: str) -> list[str]:
        return [entry["action"] for entry in (await api.get("/audit", **wanted))["data"]]

    assert await find(text="launch 促销") == await find(text="100%") == ["change_queue"]
    assert await find(text="7311") == ["change_customer_limit"]
    assert await find(text="LIMIT") == ["change_customer_limit"]
    assert await find(text="1_0%") == [], "signs of a pattern are looked for as they are"
    assert await find(customer_id=customer["id"]) == ["change_customer_limit", "create_customer"]
    assert await find(actor_role="finance") == []
    assert len(await find(actor_role="admin")) == 3


async def test_staff_who_looks_at_a_customers_files_is_on_record_and_the_customer_is_not(
    api: Api, urls: DatabaseUrls
) -> None:
    customer = await make_ready_customer(api)
    path = f"/datasets/{customer.dataset['id']}/file"
    async with customer_api(api, customer.id) as own:
        await own.call("GET", path, expect=200, params={"name": "train.jsonl"})
    await api.get(f"/datasets/{customer.dataset['id']}")
    before = len(read_entries(urls))
    await api.call("GET", path, expect=200, params={"name": "train.jsonl"})
    await api.call("GET", path, expect=404, params={"name": "other.jsonl"})
    (look,) = read_entries(urls)[before:]
    assert (look["action"], look["object_id"]) == ("download_dataset_file", customer.dataset["id"])
    assert (look["customer_id"], look["sent"]) == (customer.id, {"name": "train.jsonl"})
