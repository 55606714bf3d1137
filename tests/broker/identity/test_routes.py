"""Customers, projects and API keys over the API."""

import asyncio
import re
from datetime import timedelta

import pytest
from fastapi import FastAPI

from broker.processes.boot import DatabaseUrls
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, customer_api, make_customer, sign_contract, staff_key
from tests.broker.messages import listing_messages
from tests.broker.rows import owner_connection


async def test_key_is_shown_once_and_kept_as_a_hash(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "laptop"}, expect=201)
    listed = (await api.get("/api-keys"))["data"]
    assert made["key"].startswith(made["prefix"])
    assert "key" not in listed[0]
    assert {**listed[0], "key": made["key"]} == made
    with owner_connection(urls) as connection:
        stored = str(connection.execute("SELECT * FROM api_keys").fetchall())
    assert made["prefix"] in stored
    assert made["key"] not in stored
    assert made["key"].removeprefix(made["prefix"]) not in stored


async def test_key_has_its_customer_role_and_expiry(api: Api) -> None:
    customer = await make_customer(api)
    body = {"name": "laptop", "expires_at": "2027-01-01T08:00:00+08:00"}
    made = await api.post(f"/customers/{customer['id']}/api-keys", body, expect=201)
    assert (made["customer_id"], made["role"], made["name"]) == (customer["id"], "customer", "laptop")
    assert made["revoked_at"] is None
    assert (await api.get("/api-keys"))["data"][0]["expires_at"] == "2027-01-01T00:00:00Z"


async def test_key_for_nobody_is_not_made(api: Api) -> None:
    await api.post("/customers/cus_nobody/api-keys", {"name": "x"}, expect=404)


@pytest.mark.parametrize("role", ["finance", "ops", "admin", "meter"])
async def test_staff_key_has_no_customer(api: Api, role: str) -> None:
    made = await api.post("/api-keys", {"name": "x", "role": role}, expect=201)
    assert (made["customer_id"], made["role"]) == (None, role)


async def test_key_works_until_its_expiry_and_not_at_it(api: Api, clock: ManualClock) -> None:
    expiry = START + timedelta(hours=1)
    made = await api.post("/api-keys", {"name": "x", "role": "ops", "expires_at": expiry.isoformat()}, expect=201)
    async with Api.connect(api.app, made["key"]) as ops:
        clock.now = expiry - timedelta(microseconds=1)
        await ops.get("/queues")
        clock.now = expiry
        assert "expired" in (await ops.get("/queues", expect=401))["detail"]


async def test_revoked_key_stays_revoked_from_the_first_time(api: Api, clock: ManualClock) -> None:
    made = await api.post("/api-keys", {"name": "x", "role": "ops"}, expect=201)
    first = (await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)).json()
    clock.advance(hours=1)
    again = (await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)).json()
    assert first["revoked_at"] == again["revoked_at"] == "2026-11-10T04:00:00Z"
    async with Api.connect(api.app, made["key"]) as ops:
        await ops.get("/queues", expect=401)
    await api.call("DELETE", "/api-keys/key_nobody", expect=404)


@pytest.mark.parametrize("path", ["/contracts/{}/balance", "/contracts/{}", "/contracts?limit=none", "/nothing"])
async def test_key_that_was_used_before_ends_with_its_revocation(api: Api, path: str) -> None:
    """Whose it was is remembered, but each request has it looked up again before anything is told."""
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"])
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "laptop"}, expect=201)
    async with Api.connect(api.app, made["key"]) as laptop:
        await laptop.get(f"/contracts/{contract['id']}/balance")
        await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        await laptop.get(path.format(contract["id"]), expect=404 if path == "/nothing" else 401)
        job = {"dataset_id": "dat_x", "config": {}}
        await laptop.post("/quotes", job, expect=401)
        await laptop.post("/jobs", {"config": 7}, expect=401)


async def test_key_seen_before_is_looked_up_in_the_message_that_reads(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"])
    async with customer_api(api, customer["id"]) as own:
        for _ in range(2):  # then the connection knows the statements
            await own.get(f"/contracts/{contract['id']}/balance")
        with listing_messages(monkeypatch) as messages:
            await own.get(f"/contracts/{contract['id']}/balance")
    assert [message.split(" ", 1)[0] for message in messages] == ["BEGIN"]


async def test_last_administrators_key_cannot_be_revoked(api: Api, clock: ManualClock) -> None:
    """Without one nobody could ever make a key again."""
    first = (await api.get("/api-keys"))["data"][0]["id"]
    await api.call("DELETE", f"/api-keys/{first}", expect=409)
    expiry = (START + timedelta(hours=1)).isoformat()
    await api.post("/api-keys", {"name": "soon gone", "role": "admin", "expires_at": expiry}, expect=201)
    clock.advance(hours=2)
    await api.call("DELETE", f"/api-keys/{first}", expect=409)
    second = await api.post("/api-keys", {"name": "second", "role": "admin"}, expect=201)
    await api.call("DELETE", f"/api-keys/{first}", expect=200)
    async with Api.connect(api.app, second["key"]) as admin:
        await admin.call("DELETE", f"/api-keys/{second['id']}", expect=409)


@pytest.mark.parametrize(("days", "expect"), [(1, 409), (29, 409), (31, 200), (None, 200)])
async def test_last_administrators_key_that_lasts_stays(api: Api, days: int | None, expect: int) -> None:
    """A past fault: one that expired within the hour was let take the place of the last; then only SQL helped."""
    first = (await api.get("/api-keys"))["data"][0]["id"]
    expiry = None if days is None else (START + timedelta(days=days)).isoformat()
    other = await api.post("/api-keys", {"name": "other", "role": "admin", "expires_at": expiry}, expect=201)
    async with Api.connect(api.app, other["key"]) as admin:
        answer = await admin.call("DELETE", f"/api-keys/{first}", expect=expect)
    if expect == 409:
        assert "without expires_at" in answer.json()["detail"]
        await api.call("DELETE", f"/api-keys/{other['id']}", expect=200)


async def test_two_administrators_who_revoke_each_other_at_once_leave_one(api: Api) -> None:
    first = (await api.get("/api-keys"))["data"][0]["id"]
    second = await api.post("/api-keys", {"name": "second", "role": "admin"}, expect=201)
    async with Api.connect(api.app, second["key"]) as other:
        answers = await asyncio.gather(
            api.call("DELETE", f"/api-keys/{second['id']}"), other.call("DELETE", f"/api-keys/{first}")
        )
    # Where one was through before the other began, that one's key is known no more.
    assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 401])


WHO_MAY = {
    "POST /v1/customers": {"admin", "finance"},
    "GET /v1/whoami": {"admin", "customer", "finance", "ops"},
    "GET /v1/customers": {"admin", "customer", "finance", "ops"},
    "GET /v1/customers/{customer_id}": {"admin", "customer", "finance", "ops"},
    "POST /v1/customers/{customer_id}/api-keys": {"admin", "customer"},
    "POST /v1/api-keys": {"admin"},
    "GET /v1/api-keys": {"admin", "customer"},
    "POST /v1/api-keys/{key_id}/rotate": {"admin", "customer", "finance", "ops"},
    "PATCH /v1/api-keys/{key_id}": {"admin", "ops"},
    "PATCH /v1/customers/{customer_id}": {"admin", "ops"},
    "DELETE /v1/api-keys/{key_id}": {"admin", "customer"},
    "DELETE /v1/api-keys/{key_id}/sessions": {"admin", "customer", "finance", "ops"},
    "POST /v1/projects": {"admin", "customer"},
    "GET /v1/customers/{customer_id}/export": {"admin", "customer"},
    "GET /v1/customers/{customer_id}/storage": {"admin", "customer", "finance", "ops"},
    "POST /v1/customers/{customer_id}/deletions": {"admin", "customer"},
    "GET /v1/customers/{customer_id}/deletions/{deletion_id}": {"admin", "customer"},
    "GET /v1/projects/{project_id}/members": {"admin", "customer"},
    "PUT /v1/projects/{project_id}/members/{key_id}": {"admin", "customer"},
    "DELETE /v1/projects/{project_id}/members/{key_id}": {"admin", "customer"},
    "POST /v1/customers/{customer_id}/verification": {"admin", "customer"},
    "GET /v1/customers/{customer_id}/verification": {"admin", "finance"},
    "POST /v1/customers/{customer_id}/verification/decide": {"admin", "finance"},
    "POST /v1/people": {"admin", "customer"},
    "GET /v1/people": {"admin", "customer"},
    "DELETE /v1/people/{person_id}": {"admin", "customer"},
    "GET /v1/projects": {"admin", "customer", "finance", "ops"},
    "GET /v1/projects/{project_id}": {"admin", "customer", "finance", "ops"},
    "POST /v1/secrets": {"admin", "customer"},
    "GET /v1/secrets": {"admin", "customer", "finance", "ops"},
    "GET /v1/secrets/{secret_id}": {"admin", "customer", "finance", "ops"},
    "PATCH /v1/secrets/{secret_id}": {"admin", "customer"},
    "DELETE /v1/secrets/{secret_id}": {"admin", "customer"},
    "POST /v1/templates": {"admin", "customer"},
    "GET /v1/templates": {"admin", "customer", "finance", "ops"},
    "GET /v1/templates/{template_id}": {"admin", "customer", "finance", "ops"},
    "PATCH /v1/templates/{template_id}": {"admin", "customer"},
    "POST /v1/templates/{template_id}/versions": {"admin", "customer"},
    "GET /v1/templates/{template_id}/versions": {"admin", "customer", "finance", "ops"},
    "GET /v1/templates/{template_id}/versions/{number}": {"admin", "customer", "finance", "ops"},
    "POST /v1/rate-cards": {"admin", "finance"},
    "GET /v1/rate-cards": {"admin", "customer", "finance"},
    "GET /v1/rate-cards/{version}": {"admin", "customer", "finance"},
    "POST /v1/contracts": {"admin", "finance"},
    "GET /v1/contracts": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/balance": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/coverage": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/commitment": {"admin", "customer", "finance"},
    "GET /v1/ledger/accounts": {"admin", "finance"},
    "GET /v1/ledger/entries": {"admin", "finance"},
    "POST /v1/credit-notes": {"admin", "finance"},
    "GET /v1/credit-notes": {"admin", "customer", "finance"},
    "GET /v1/credit-notes/{credit_note_id}": {"admin", "customer", "finance"},
    "POST /v1/adjustments": {"admin", "finance"},
    "POST /v1/closings": {"admin", "finance"},
    "GET /v1/closings/{month}": {"admin", "finance"},
    "GET /v1/closings/{month}/progress": {"admin", "finance"},
    "GET /v1/closings/{month}/vouchers": {"admin", "finance"},
    "GET /v1/chart-of-accounts": {"admin", "finance"},
    "PUT /v1/chart-of-accounts": {"admin", "finance"},
    "GET /v1/adjustments": {"admin", "customer", "finance"},
    "GET /v1/adjustments/{adjustment_id}": {"admin", "customer", "finance"},
    "POST /v1/grants": {"admin", "finance"},
    "GET /v1/grants": {"admin", "customer", "finance"},
    "GET /v1/grants/{grant_id}": {"admin", "customer", "finance"},
    "POST /v1/grants/{grant_id}/void": {"admin", "finance"},
    "POST /v1/grants/{grant_id}/refund": {"admin", "finance"},
    "GET /v1/grants/{grant_id}/draws": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/events": {"admin", "customer", "finance"},
    "POST /v1/purchases": {"admin", "customer", "finance"},
    "GET /v1/purchases": {"admin", "customer", "finance"},
    "GET /v1/purchases/{purchase_id}": {"admin", "customer", "finance"},
    "POST /v1/purchases/{purchase_id}/cancel": {"admin", "customer", "finance"},
    "GET /v1/top-ups": {"admin", "customer", "finance"},
    "POST /v1/contracts/{contract_id}/top-up": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/top-up": {"admin", "customer", "finance"},
    "DELETE /v1/contracts/{contract_id}/top-up": {"admin", "customer", "finance"},
    "POST /v1/contracts/{contract_id}/amendments/preview": {"admin", "finance"},
    "POST /v1/contracts/{contract_id}/amendments": {"admin", "finance"},
    "POST /v1/contracts/{contract_id}/amendments/{amendment_id}/withdraw": {"admin", "finance"},
    "GET /v1/contracts/{contract_id}/amendments": {"admin", "customer", "finance"},
    "POST /v1/contracts/{contract_id}/cancel": {"admin", "finance"},
    "POST /v1/contracts/{contract_id}/end": {"admin", "finance"},
    "POST /v1/contracts/{contract_id}/renewal": {"admin", "finance"},
    "POST /v1/datasets": {"admin", "customer"},
    "GET /v1/datasets": {"admin", "customer"},
    "GET /v1/datasets/{dataset_id}": {"admin", "customer"},
    "DELETE /v1/datasets/{dataset_id}": {"admin", "customer"},
    "GET /v1/datasets/{dataset_id}/file": {"admin", "customer"},
    "GET /v1/datasets/{dataset_id}/pictures": {"admin", "customer"},
    "POST /v1/datasets/{dataset_id}/captions": {"admin", "customer"},
    "GET /v1/retention": {"admin", "ops"},
    "PATCH /v1/retention": {"admin", "ops"},
    "POST /v1/retention/preview": {"admin", "ops"},
    "POST /v1/datasets/from-uploads": {"admin", "customer"},
    "OPTIONS /v1/uploads": {"admin", "customer"},
    "POST /v1/uploads": {"admin", "customer"},
    "GET /v1/uploads": {"admin", "customer"},
    "GET /v1/uploads/{upload_id}": {"admin", "customer"},
    "PATCH /v1/uploads/{upload_id}": {"admin", "customer"},
    "DELETE /v1/uploads/{upload_id}": {"admin", "customer"},
    "POST /v1/quotes": {"admin", "customer"},
    "POST /v1/quotes/batch": {"admin", "customer"},
    "GET /v1/quotes/{quote_id}": {"admin", "customer", "finance"},
    "GET /v1/quotes/{quote_id}/offers": {"admin", "customer", "finance"},
    "GET /v1/plan-comparison": {"admin", "customer", "finance"},
    "POST /v1/jobs": {"admin", "customer"},
    "POST /v1/jobs/batch": {"admin", "customer"},
    "GET /v1/jobs": {"admin", "customer", "finance", "ops"},
    "GET /v1/jobs/{job_id}": {"admin", "customer", "finance", "ops"},
    "GET /v1/contracts/{contract_id}/quota": {"admin", "customer", "ops"},
    "PATCH /v1/contracts/{contract_id}/quota": {"admin", "ops"},
    "PATCH /v1/jobs/{job_id}": {"admin", "customer", "ops"},
    "POST /v1/jobs/{job_id}/cancel": {"admin", "customer", "ops"},
    "POST /v1/jobs/{job_id}/pause": {"admin", "customer", "ops"},
    "POST /v1/jobs/{job_id}/resume": {"admin", "customer", "ops"},
    "GET /v1/jobs/{job_id}/events": {"admin", "customer", "ops"},
    "GET /v1/jobs/{job_id}/logs": {"admin", "customer", "ops"},
    "GET /v1/jobs/{job_id}/runs": {"admin", "customer", "finance", "ops"},
    "GET /v1/jobs/{job_id}/losses": {"admin", "customer", "finance", "ops"},
    "GET /v1/jobs/{job_id}/ahead": {"admin", "customer", "finance", "ops"},
    "GET /v1/jobs/{job_id}/why": {"admin", "customer", "finance", "ops"},
    "GET /v1/jobs/{job_id}/tensorboard": {"admin", "customer", "finance", "ops"},
    "GET /v1/jobs/{job_id}/checkpoints": {"admin", "customer", "ops"},
    "GET /v1/jobs/{job_id}/usage": {"admin", "customer", "finance", "ops"},
    "GET /v1/usage": {"admin", "customer", "finance", "ops"},
    "POST /v1/usage-events": {"admin", "meter", "ops", "run"},
    "GET /v1/usage-events/export": {"admin", "customer", "finance", "ops"},
    "POST /v1/usage-sources": {"admin", "ops"},
    "GET /v1/usage-sources": {"admin", "finance", "ops"},
    "PATCH /v1/usage-sources/{source_id}": {"admin", "ops"},
    "GET /v1/adapters": {"admin", "customer"},
    "GET /v1/adapters/{adapter_id}": {"admin", "customer"},
    "PATCH /v1/adapters/{adapter_id}": {"admin", "customer"},
    "GET /v1/adapters/compare": {"admin", "customer"},
    "GET /v1/adapters/{adapter_id}/lineage": {"admin", "customer"},
    "DELETE /v1/adapters/{adapter_id}": {"admin", "customer"},
    "POST /v1/adapters/{adapter_id}/promote": {"admin", "customer"},
    "POST /v1/adapters/{adapter_id}/withdraw": {"admin", "customer"},
    "GET /v1/promotions": {"admin", "customer", "ops"},
    "GET /v1/promotions/{promotion_id}": {"admin", "customer", "ops"},
    "POST /v1/promotions/{promotion_id}/undo": {"admin", "customer"},
    "GET /v1/adapter-retention": {"admin", "customer"},
    "POST /v1/adapter-retention": {"admin", "customer"},
    "POST /v1/adapter-retention/preview": {"admin", "customer"},
    "GET /v1/adapter-stages": {"admin", "customer", "ops"},
    "POST /v1/environments": {"admin", "customer", "ops"},
    "GET /v1/environments": {"admin", "customer", "ops"},
    "GET /v1/environments/{environment_id}": {"admin", "customer", "ops"},
    "PATCH /v1/environments/{environment_id}": {"admin", "customer", "ops"},
    "DELETE /v1/environments/{environment_id}": {"admin", "customer", "ops"},
    "POST /v1/environments/{environment_id}/push": {"admin", "customer", "ops"},
    "GET /v1/environments/{environment_id}/pushes": {"admin", "customer", "ops"},
    "GET /v1/adapters/{adapter_id}/config": {"admin", "customer"},
    "GET /v1/adapters/{adapter_id}/download": {"admin", "customer"},
    "GET /v1/arrears": {"admin", "customer", "finance"},
    "GET /v1/customers/{customer_id}/arrears": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/arrears": {"admin", "customer", "finance"},
    "GET /v1/contracts/{contract_id}/arrears/deletions": {"admin", "customer", "finance"},
    "POST /v1/contracts/{contract_id}/arrears/extensions": {"admin", "finance"},
    "POST /v1/invoices/{invoice_id}/reminders": {"admin", "finance"},
    "GET /v1/invoices/{invoice_id}/reminders": {"admin", "customer", "finance"},
    "POST /v1/customers/{customer_id}/contacts": {"admin", "customer", "finance"},
    "GET /v1/customers/{customer_id}/contacts": {"admin", "customer", "finance"},
    "DELETE /v1/customers/{customer_id}/contacts/{contact_id}": {"admin", "customer", "finance"},
    "POST /v1/webhook-endpoints": {"admin", "customer"},
    "GET /v1/webhook-endpoints": {"admin", "customer", "finance", "ops"},
    "GET /v1/webhook-endpoints/{endpoint_id}": {"admin", "customer", "finance", "ops"},
    "PATCH /v1/webhook-endpoints/{endpoint_id}": {"admin", "customer"},
    "DELETE /v1/webhook-endpoints/{endpoint_id}": {"admin", "customer"},
    "POST /v1/webhook-endpoints/{endpoint_id}/rotate-secret": {"admin", "customer"},
    "POST /v1/webhook-endpoints/{endpoint_id}/test": {"admin", "customer"},
    "POST /v1/webhook-endpoints/{endpoint_id}/replay": {"admin", "customer"},
    "GET /v1/webhook-endpoints/{endpoint_id}/deliveries": {"admin", "customer", "finance", "ops"},
    "GET /v1/webhook-endpoints/{endpoint_id}/attempts": {"admin", "customer", "finance", "ops"},
    "GET /v1/events": {"admin", "customer", "finance", "ops"},
    "GET /v1/events/{event_id}": {"admin", "customer", "finance", "ops"},
    "GET /v1/notices": {"admin", "customer", "finance", "ops"},
    "POST /v1/approvals": {"admin", "finance"},
    "GET /v1/approvals": {"admin", "finance"},
    "GET /v1/approvals/{approval_id}": {"admin", "finance"},
    "POST /v1/approvals/{approval_id}/approve": {"admin", "finance"},
    "POST /v1/approvals/{approval_id}/reject": {"admin", "finance"},
    "POST /v1/fapiao": {"admin", "customer", "finance"},
    "GET /v1/fapiao": {"admin", "customer", "finance"},
    "GET /v1/fapiao/invoiceable": {"admin", "customer", "finance"},
    "GET /v1/fapiao/debts": {"admin", "finance"},
    "GET /v1/fapiao/{fapiao_id}": {"admin", "customer", "finance"},
    "POST /v1/fapiao/{fapiao_id}/issue": {"admin", "finance"},
    "POST /v1/fapiao/{fapiao_id}/cancel": {"admin", "customer", "finance"},
    "POST /v1/fapiao/{fapiao_id}/red": {"admin", "finance"},
    "POST /v1/fapiao/{fapiao_id}/files": {"admin", "finance"},
    "GET /v1/fapiao/{fapiao_id}/file": {"admin", "customer", "finance"},
    "POST /v1/payments": {"admin", "finance"},
    "POST /v1/payments/statements": {"admin", "finance"},
    "GET /v1/payments": {"admin", "customer", "finance"},
    "GET /v1/payments/unmatched": {"admin", "finance"},
    "GET /v1/payments/{payment_id}": {"admin", "customer", "finance"},
    "POST /v1/payments/{payment_id}/claim": {"admin", "finance"},
    "POST /v1/payments/{payment_id}/unclaim": {"admin", "finance"},
    "POST /v1/payments/{payment_id}/return": {"admin", "finance"},
    "POST /v1/payments/{payment_id}/chargeback": {"admin", "finance"},
    "GET /v1/stripe/customers": {"admin", "finance"},
    "GET /v1/stripe/customers/{customer_id}": {"admin", "finance"},
    "PUT /v1/stripe/customers/{customer_id}": {"admin", "finance"},
    "GET /v1/stripe/invoices": {"admin", "customer", "finance"},
    "GET /v1/stripe/invoices/{invoice_id}": {"admin", "customer", "finance"},
    "POST /v1/stripe/invoices/{invoice_id}/retry": {"admin", "finance"},
    "GET /v1/stripe/reconciliation": {"admin", "finance"},
    "POST /v1/stripe/reconciliation": {"admin", "finance"},
    "POST /v1/refunds": {"admin", "finance"},
    "GET /v1/refunds": {"admin", "finance"},
    "GET /v1/refunds/{refund_id}": {"admin", "finance"},
    "POST /v1/refunds/{refund_id}/send": {"admin", "finance"},
    "POST /v1/refunds/{refund_id}/confirm": {"admin", "finance"},
    "POST /v1/refunds/{refund_id}/fail": {"admin", "finance"},
    "POST /v1/disputes": {"admin", "customer", "finance"},
    "GET /v1/disputes": {"admin", "customer", "finance"},
    "GET /v1/disputes/{dispute_id}": {"admin", "customer", "finance"},
    "POST /v1/disputes/{dispute_id}/answer": {"admin", "finance"},
    "POST /v1/disputes/{dispute_id}/withdraw": {"admin", "customer", "finance"},
    "POST /v1/disputes/{dispute_id}/win": {"admin", "finance"},
    "POST /v1/disputes/{dispute_id}/lose": {"admin", "finance"},
    "POST /v1/invoices": {"admin", "finance"},
    "GET /v1/invoices": {"admin", "customer", "finance"},
    "GET /v1/invoices/upcoming": {"admin", "customer", "finance"},
    "GET /v1/invoices/{invoice_id}": {"admin", "customer", "finance"},
    "GET /v1/invoices/{invoice_id}/breakdown": {"admin", "customer", "finance"},
    "GET /v1/invoices/{invoice_id}/evidence": {"admin", "customer", "finance"},
    "POST /v1/invoices/{invoice_id}/finalize": {"admin", "finance"},
    "POST /v1/invoices/{invoice_id}/pay": {"admin", "finance"},
    "POST /v1/invoices/{invoice_id}/void": {"admin", "finance"},
    "GET /v1/reports/monthly-cost": {"admin", "customer", "finance"},
    "GET /v1/reports/plan-advice": {"admin", "customer", "finance"},
    "GET /v1/reports/receivables": {"admin", "customer", "finance"},
    "GET /v1/reports/margin": {"admin", "finance"},
    "GET /v1/reports/revenue": {"admin", "finance"},
    "GET /v1/reports/focus": {"admin", "customer", "finance"},
    "GET /v1/reports/pool-margin": {"admin", "finance"},
    "GET /v1/reports/commitments": {"admin", "customer", "finance"},
    "GET /v1/reports/journal": {"admin", "finance"},
    "GET /v1/reports/reconciliation": {"admin", "finance"},
    "GET /v1/reports/estimator-accuracy": {"admin", "ops"},
    "GET /v1/reports/start-accuracy": {"admin", "ops"},
    "GET /v1/base-models": {"admin", "customer", "finance", "ops"},
    "GET /v1/base-models/{base_model}": {"admin", "customer", "finance", "ops"},
    "GET /v1/queues": {"admin", "customer", "finance", "ops"},
    "GET /v1/queues/{name}": {"admin", "customer", "finance", "ops"},
    "PATCH /v1/queues/{name}": {"admin", "ops"},
    "POST /v1/queues/simulations": {"admin", "ops"},
    "GET /v1/queues/simulations/{simulation_id}": {"admin", "ops"},
    "POST /v1/queues/simulations/{simulation_id}/apply": {"admin", "ops"},
    "POST /v1/jobs/priorities": {"admin", "ops"},
    "GET /v1/agents": {"admin", "ops"},
    "GET /v1/agents/{agent_id}": {"admin", "ops"},
    "GET /v1/quarantined-usage": {"admin", "finance"},
    "POST /v1/quarantined-usage/{quarantine_id}/retry": {"admin", "finance"},
    "POST /v1/quarantined-usage/{quarantine_id}/dismiss": {"admin", "finance"},
    "GET /v1/pools": {"admin", "customer", "finance", "ops"},
    "GET /v1/pools/{name}": {"admin", "customer", "finance", "ops"},
    "PATCH /v1/pools/{name}": {"admin", "ops"},
    "GET /v1/operations/overview": {"admin", "ops"},
    "GET /v1/contracts/{contract_id}/standing": {"admin", "customer", "finance", "ops"},
    "GET /v1/announcements": {"admin", "customer", "finance", "ops"},
    "POST /v1/announcements": {"admin", "ops"},
    "GET /v1/pools/{name}/cost-rates": {"admin", "finance", "ops"},
    "POST /v1/pools/{name}/cost-rates": {"admin", "finance", "ops"},
    "DELETE /v1/announcements/{announcement_id}": {"admin", "ops"},
    "GET /v1/audit": {"admin", "ops"},
    "GET /v1/audit/{entry_id}": {"admin", "ops"},
    "POST /v1/audit/{entry_id}/undo": {"admin", "ops"},
}


def read_roles(app: FastAPI) -> dict[str, set[str]]:
    """Read the roles of every route as its OpenAPI document says them; those of workers are told apart.

    What a provider sends is let in by its signature, and has no role.
    """
    return {
        f"{method.upper()} {path}": set(operation["x-roles"])
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if path.startswith("/v1/") and not path.startswith(("/v1/runs/", "/v1/webhooks/"))
    }


def test_every_route_says_who_may(routed_app: FastAPI) -> None:
    assert read_roles(routed_app) == WHO_MAY


@pytest.mark.story
async def test_each_role_may_what_it_is_for_and_no_more(api: Api) -> None:
    customer = await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "x"}, expect=201)
    keys = {role: await staff_key(api, role) for role in ("admin", "finance", "ops", "meter")} | {
        "customer": made["key"]
    }
    faults = []
    for role, key in keys.items():
        async with Api.connect(api.app, key) as bearer:
            for route, roles in WHO_MAY.items():
                method, path = route.split()
                status = (await bearer.call(method, re.sub("{.*?}", "x", path.removeprefix("/v1")))).status_code
                if (status != 403) != (role in roles):
                    faults.append((role, route, status))
    assert faults == []


async def test_a_customer_replaces_its_own_keys_and_nobody_elses(api: Api) -> None:
    mine, other = await make_customer(api), await make_customer(api)
    foreign = await api.post(f"/customers/{other['id']}/api-keys", {"name": "theirs"}, expect=201)
    async with customer_api(api, mine["id"]) as own:
        made = await own.post(f"/customers/{mine['id']}/api-keys", {"name": "next"}, expect=201)
        assert made["role"] == "customer"
        await own.post(f"/customers/{other['id']}/api-keys", {"name": "x"}, expect=404)
        await own.call("DELETE", f"/api-keys/{foreign['id']}", expect=404)
        async with Api.connect(api.app, made["key"]) as replaced:
            (old,) = [each["id"] for each in (await replaced.get("/api-keys"))["data"] if each["id"] != made["id"]]
            await replaced.call("DELETE", f"/api-keys/{old}", expect=200)
        await own.get("/api-keys", expect=401)


async def test_name_is_given_once(api: Api) -> None:
    customer = await make_customer(api, "Acme")
    assert (await api.post("/customers", {"name": "Acme"}, expect=409))["type"] == "/problems/name-taken"
    project = {"customer_id": customer["id"], "name": "brand-tone"}
    await api.post("/projects", project, expect=201)
    await api.post("/projects", project, expect=409)
    await api.post("/projects", {**project, "customer_id": (await make_customer(api))["id"]}, expect=201)


async def test_customer_sees_itself_and_its_projects(api: Api) -> None:
    mine, other = await make_customer(api), await make_customer(api)
    await api.post("/projects", {"customer_id": other["id"], "name": "theirs"}, expect=201)
    async with customer_api(api, mine["id"]) as own:
        project = await own.post("/projects", {"name": "ours"}, expect=201)
        assert (await own.get("/customers"))["data"] == [mine]
        assert (await own.get("/projects"))["data"] == [project]
        assert await own.get(f"/projects/{project['id']}") == project
    assert len((await api.get("/projects"))["data"]) == 2
    assert (await api.get("/projects", customer_id=mine["id"]))["data"] == [project]


async def test_staff_must_name_the_customer(api: Api) -> None:
    problem = await api.post("/projects", {"name": "whose"}, expect=422)
    assert problem["errors"] == [{"field": "customer_id", "message": "is required for a staff key"}]
    await api.post("/projects", {"name": "whose", "customer_id": "cus_nobody"}, expect=404)


async def test_key_tells_whose_it_is_and_what_it_may_do(api: Api) -> None:
    customer = await make_customer(api)
    staff = await api.get("/whoami")
    assert (staff["role"], staff["customer"]) == ("admin", None)
    async with customer_api(api, customer["id"]) as own:
        mine = await own.get("/whoami")
    assert (mine["role"], mine["customer"]) == ("customer", customer)
    assert mine["api_key"]["name"] == "test"
    assert "key" not in mine["api_key"]
