"""Endpoints are named, changed and removed; their secret is shown once, and is nowhere to be read after that."""

import logging
from typing import Any

import pytest
from fastapi import FastAPI

from broker.system import System
from broker.webhooks.composing import compose_events
from broker.webhooks.delivering import Deliverer
from broker.webhooks.endpoints import MOST_ENDPOINTS
from broker.webhooks.tables import WebhookEndpoint
from tests.broker.factories import Api, customer_api, make_customer
from tests.broker.webhooks.receivers import PaperSender, make_endpoint


async def test_a_secret_is_shown_once(api: Api, system: System, app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    customer = await make_customer(api)
    body = {"customer_id": customer["id"], "name": "CI", "url": "https://hooks.example.com/"}
    with caplog.at_level(logging.DEBUG):
        made = await api.post("/webhook-endpoints", body, expect=201, key="once")
        again = await api.post("/webhook-endpoints", body, expect=201, key="once")
        rotated = await api.post(f"/webhook-endpoints/{made['id']}/rotate-secret", {})
        shown = [
            await api.get("/webhook-endpoints", customer_id=customer["id"]),
            await api.get(f"/webhook-endpoints/{made['id']}"),
            await api.get("/audit", limit=100),
        ]
    assert (made["secret"][:6], again["id"], again["secret"]) == ("whsec_", made["id"], None)
    async with system.work() as work:
        row = await work.session.get_one(WebhookEndpoint, made["id"])
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in f"{shown}{caplog.text}{row.secret}{row.former_secret}"
    assert made["secret"] != rotated["secret"]
    assert rotated["former_until"] is not None


async def test_an_endpoint_is_changed_switched_off_and_removed(api: Api, system: System) -> None:
    customer = await make_customer(api)
    async with customer_api(api, customer["id"]) as own:
        made = await own.post("/webhook-endpoints", {"name": "CI", "url": "https://a.example.com/"}, expect=201)
        place = f"/webhook-endpoints/{made['id']}"
        changes = {"url": "https://b.example.com/", "event_types": ["job.ended"], "status": "disabled"}
        changed = (await own.call("PATCH", place, json=changes, expect=200)).json()
        assert {name: changed[name] for name in changes} == changes
        assert (changed["name"], changed["disabled_for"]) == ("CI", "by_hand")
        await own.call("PATCH", place, json={"status": "enabled"}, expect=200)
        await own.post(f"{place}/test", expect=202)
        await own.call("DELETE", place, expect=200)
        assert (await own.get("/webhook-endpoints"))["data"] == []
        await own.get(place, expect=404)
    sender = PaperSender()
    await compose_events(system)
    await Deliverer(system, sender).deliver_due()
    assert sender.sent == [], "nothing more once it is removed"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["job.exploded"]}, "event_types.0"),
        ({"event_types": ["webhook.test"]}, "event_types"),
    ],
    ids=["no TLS", "private", "nothing chosen", "unknown", "test"],
)
async def test_what_cannot_be_sent_to_is_refused(api: Api, fields: dict[str, Any], field: str) -> None:
    customer = await make_customer(api)
    body = {"customer_id": customer["id"], "name": "CI", "url": "https://example.com/", **fields}
    refused = await api.post("/webhook-endpoints", body, expect=422)
    assert [each["field"] for each in refused["errors"]] == [field]
    assert (await api.get("/webhook-endpoints", customer_id=customer["id"]))["data"] == []


async def test_an_endpoint_of_a_project_chooses_what_is_of_projects(api: Api) -> None:
    customer, other = await make_customer(api), await make_customer(api)
    project = await api.post("/projects", {"customer_id": customer["id"], "name": "tone"}, expect=201)
    made = await make_endpoint(api, customer["id"], project_id=project["id"])
    assert "job.ended" in made["event_types"]
    assert "invoice.issued" not in made["event_types"]
    body = {"customer_id": customer["id"], "name": "CI", "url": "https://example.com/", "project_id": project["id"]}
    refused = await api.post("/webhook-endpoints", {**body, "event_types": ["invoice.issued"]}, expect=422)
    assert "of no project" in refused["errors"][0]["message"]
    await api.post("/webhook-endpoints", {**body, "customer_id": other["id"]}, expect=404)


async def test_a_customer_has_so_many_endpoints_at_most(api: Api) -> None:
    customer = await make_customer(api)
    for _each in range(MOST_ENDPOINTS):
        await make_endpoint(api, customer["id"])
    body = {"customer_id": customer["id"], "name": "CI", "url": "https://example.com/"}
    refused = await api.post("/webhook-endpoints", body, expect=422)
    assert "remove one" in refused["errors"][0]["message"]


async def test_a_key_of_the_account_alone_is_told_nothing_of_jobs_and_invoices(api: Api) -> None:
    """A past fault: who might write the account only had all of it sent to where it listens."""
    customer = await make_customer(api)
    made = await make_endpoint(api, customer["id"])
    keys = f"/customers/{customer['id']}/api-keys"
    key = await api.post(keys, {"name": "sync", "scopes": ["account:write", "billing:read"]}, expect=201)
    async with Api.connect(api.app, key["key"]) as sync:
        place, told = f"/webhook-endpoints/{made['id']}", {"name": "mine", "url": "https://mine.example.com/"}
        refused = await sync.post("/webhook-endpoints", told, expect=403)
        assert "lacks training:read" in refused["detail"]
        await sync.call("PATCH", place, json=told, expect=403)
        await sync.get("/events", expect=403)
        await sync.get("/events/evt_none", expect=403)
        await sync.get(place)
        await sync.call("DELETE", place, expect=200)
