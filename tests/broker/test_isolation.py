"""No tenant reaches another's objects: over the API on every route, and in the database on every table."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from psycopg.rows import dict_row

from broker.app import create_app
from broker.config import Settings
from broker.http.openapi import make_workers_openapi
from broker.identity.model import RunBearer, sign_run_token
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls, prepare
from broker.system import System, open_system
from broker.work import Work
from tests.broker.conftest import ManualClock, create_routed_app
from tests.broker.databases import Contents, LentDatabase, cloned_database, read_contents
from tests.broker.factories import CONFIG, Api, jsonl
from tests.broker.messages import listing_messages
from tests.broker.rows import TENANT_TABLES, list_tables, owner_connection, read_everything
from tests.broker.tenants import Tenant, make_tenant

RECORDS = (
    "audit_entries",
    "rate_cards",
    "ledger_transfers",
    "ledger_entries",
    "captures",
    "rate_corrections",
    "checkpoint_marks",
    "lost_work",
    "evictions",
    "wait_causes",
    "arrears_changes",
    "arrears_extensions",
    "arrears_deletions",
    "noticed",
    "credit_notes",
    "credit_note_lines",
    "adjustments",
    "fapiao_files",
    "usage_events",
    "usage_event_keys",
    "quarantine_decisions",
    "quarantined_usage",
    "contract_amendments",
    "amendment_withdrawals",
    "contract_events",
    "job_events",
    "closed_months",
    "stripe_payments",
    "customer_deletions",
    "template_versions",
    "webhook_events",
    "webhook_attempts",
    "adapter_promotions",
)
# Of these records the old ones are swept; they are changed no more than others.
SWEPT_RECORDS = frozenset({"wait_causes", "webhook_events", "webhook_attempts"})
SHARED_TABLES = {
    "agents",
    "alembic_version",
    "announcements",
    "base_models",
    "calibrations",
    "charts_of_accounts",
    "closed_periods",
    "closings",
    "installation",
    "invoice_numbers",
    "outbox",
    "planning_leaders",
    "pool_cost_rates",
    "pools",
    "queue_simulations",
    "rate_cards",
    "received_events",
    "request_counts",
    "retention_rules",
    "recorded_cycles",
    "service_marks",
    "start_forecasts",
    "stripe_differences",
    "swept",
}
APP_ROLE = "broker_app"
READ_BY_TOKEN = {"api_keys", "project_members", "sessions"}
# The last one is opened by the provider's signature.
WITHOUT_A_KEY = {"GET /healthz", "GET /readyz", "GET /metrics", "POST /v1/webhooks/stripe"}


@dataclass(frozen=True)
class Ask:
    """What a customer gets who asks with another's ids; `{…}` in a value is an id of the other tenant."""

    status: int
    params: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None


LIST, SHARED, NOT_FOUND, FORBIDDEN = Ask(200), Ask(200), Ask(404), Ask(403)
ANSWERS = {
    "GET /healthz": SHARED,
    "GET /readyz": SHARED,
    "GET /metrics": SHARED,
    "GET /v1/whoami": LIST,
    "POST /v1/customers": FORBIDDEN,
    "GET /v1/customers": LIST,
    "GET /v1/customers/{customer_id}": NOT_FOUND,
    "POST /v1/customers/{customer_id}/api-keys": Ask(404, body={"name": "mine now"}),
    "POST /v1/api-keys": FORBIDDEN,
    "GET /v1/api-keys": LIST,
    "POST /v1/api-keys/{key_id}/rotate": Ask(404, body={}),
    "PATCH /v1/api-keys/{key_id}": FORBIDDEN,
    "PATCH /v1/customers/{customer_id}": FORBIDDEN,
    "DELETE /v1/api-keys/{key_id}": NOT_FOUND,
    "DELETE /v1/api-keys/{key_id}/sessions": NOT_FOUND,
    "GET /v1/customers/{customer_id}/export": NOT_FOUND,
    "GET /v1/customers/{customer_id}/storage": NOT_FOUND,
    "POST /v1/customers/{customer_id}/deletions": Ask(404, body={"confirm": "mine now"}),
    "GET /v1/customers/{customer_id}/deletions/{deletion_id}": NOT_FOUND,
    "GET /v1/projects/{project_id}/members": NOT_FOUND,
    "PUT /v1/projects/{project_id}/members/{key_id}": Ask(404, body={"role": "member"}),
    "DELETE /v1/projects/{project_id}/members/{key_id}": NOT_FOUND,
    "POST /v1/customers/{customer_id}/verification": Ask(404, body={"name": "mine now", "document_number": "91310000"}),
    "GET /v1/customers/{customer_id}/verification": FORBIDDEN,
    "POST /v1/customers/{customer_id}/verification/decide": FORBIDDEN,
    "POST /v1/people": Ask(404, body={"customer_id": "{customer_id}", "email": "me@example.com"}),
    "GET /v1/people": LIST,
    "DELETE /v1/people/{person_id}": NOT_FOUND,
    "POST /v1/templates": Ask(404, body={"project_id": "{project_id}", "name": "mine", "config": CONFIG}),
    "GET /v1/templates": Ask(404, params={"project_id": "{project_id}"}),
    "GET /v1/templates/{template_id}": NOT_FOUND,
    "PATCH /v1/templates/{template_id}": Ask(404, body={"archived": True}),
    "POST /v1/templates/{template_id}/versions": Ask(404, body={"config": CONFIG}),
    "GET /v1/templates/{template_id}/versions": NOT_FOUND,
    "GET /v1/templates/{template_id}/versions/{number}": NOT_FOUND,
    "POST /v1/projects": Ask(404, body={"customer_id": "{customer_id}", "name": "mine now"}),
    "GET /v1/projects": Ask(404, params={"customer_id": "{customer_id}"}),
    "GET /v1/projects/{project_id}": NOT_FOUND,
    "POST /v1/rate-cards": FORBIDDEN,
    "GET /v1/rate-cards": SHARED,
    "GET /v1/rate-cards/{version}": SHARED,
    "POST /v1/contracts": FORBIDDEN,
    "GET /v1/contracts": LIST,
    "GET /v1/contracts/{contract_id}": NOT_FOUND,
    "GET /v1/contracts/{contract_id}/balance": NOT_FOUND,
    "GET /v1/contracts/{contract_id}/coverage": NOT_FOUND,
    "GET /v1/contracts/{contract_id}/commitment": NOT_FOUND,
    "GET /v1/ledger/accounts": FORBIDDEN,
    "GET /v1/ledger/entries": FORBIDDEN,
    "POST /v1/credit-notes": FORBIDDEN,
    "GET /v1/credit-notes": Ask(404, params={"invoice_id": "{credited_invoice_id}"}),
    "GET /v1/credit-notes/{credit_note_id}": NOT_FOUND,
    "POST /v1/payments": FORBIDDEN,
    "POST /v1/payments/statements": FORBIDDEN,
    "GET /v1/payments": LIST,
    "GET /v1/payments/unmatched": FORBIDDEN,
    "GET /v1/payments/{payment_id}": NOT_FOUND,
    "POST /v1/payments/{payment_id}/claim": FORBIDDEN,
    "POST /v1/payments/{payment_id}/unclaim": FORBIDDEN,
    "POST /v1/payments/{payment_id}/return": FORBIDDEN,
    "POST /v1/payments/{payment_id}/chargeback": FORBIDDEN,
    "GET /v1/stripe/customers": FORBIDDEN,
    "GET /v1/stripe/customers/{customer_id}": FORBIDDEN,
    "PUT /v1/stripe/customers/{customer_id}": FORBIDDEN,
    "GET /v1/stripe/invoices": LIST,
    "GET /v1/stripe/invoices/{invoice_id}": NOT_FOUND,
    "POST /v1/stripe/invoices/{invoice_id}/retry": FORBIDDEN,
    "GET /v1/stripe/reconciliation": FORBIDDEN,
    "POST /v1/stripe/reconciliation": FORBIDDEN,
    "POST /v1/webhooks/stripe": NOT_FOUND,
    "POST /v1/refunds": FORBIDDEN,
    "GET /v1/refunds": FORBIDDEN,
    "GET /v1/refunds/{refund_id}": FORBIDDEN,
    "POST /v1/refunds/{refund_id}/send": FORBIDDEN,
    "POST /v1/refunds/{refund_id}/confirm": FORBIDDEN,
    "POST /v1/refunds/{refund_id}/fail": FORBIDDEN,
    "POST /v1/disputes": Ask(404, body={"invoice_id": "{credited_invoice_id}", "position": 1, "reason": "mine now"}),
    "GET /v1/disputes": Ask(404, params={"invoice_id": "{credited_invoice_id}"}),
    "GET /v1/disputes/{dispute_id}": NOT_FOUND,
    "POST /v1/disputes/{dispute_id}/answer": FORBIDDEN,
    "POST /v1/disputes/{dispute_id}/withdraw": NOT_FOUND,
    "POST /v1/disputes/{dispute_id}/win": FORBIDDEN,
    "POST /v1/disputes/{dispute_id}/lose": FORBIDDEN,
    "POST /v1/adjustments": FORBIDDEN,
    "POST /v1/closings": FORBIDDEN,
    "GET /v1/closings/{month}": FORBIDDEN,
    "GET /v1/closings/{month}/progress": FORBIDDEN,
    "GET /v1/closings/{month}/vouchers": FORBIDDEN,
    "GET /v1/chart-of-accounts": FORBIDDEN,
    "PUT /v1/chart-of-accounts": FORBIDDEN,
    "GET /v1/adjustments": LIST,
    "GET /v1/adjustments/{adjustment_id}": NOT_FOUND,
    "POST /v1/grants": FORBIDDEN,
    "GET /v1/grants": LIST,
    "GET /v1/grants/{grant_id}": NOT_FOUND,
    "POST /v1/grants/{grant_id}/void": FORBIDDEN,
    "POST /v1/grants/{grant_id}/refund": FORBIDDEN,
    "GET /v1/grants/{grant_id}/draws": NOT_FOUND,
    "GET /v1/contracts/{contract_id}/events": NOT_FOUND,
    "POST /v1/purchases": Ask(404, body={"contract_id": "{contract_id}", "gpu_hours": "10"}),
    "GET /v1/purchases": LIST,
    "GET /v1/purchases/{purchase_id}": NOT_FOUND,
    "POST /v1/purchases/{purchase_id}/cancel": NOT_FOUND,
    "GET /v1/top-ups": LIST,
    "POST /v1/contracts/{contract_id}/top-up": Ask(404, body={"threshold_gpu_hours": 10, "purchase_gpu_hours": 50}),
    "GET /v1/contracts/{contract_id}/top-up": NOT_FOUND,
    "DELETE /v1/contracts/{contract_id}/top-up": NOT_FOUND,
    "POST /v1/contracts/{contract_id}/amendments/preview": FORBIDDEN,
    "POST /v1/contracts/{contract_id}/amendments": FORBIDDEN,
    "GET /v1/contracts/{contract_id}/amendments": NOT_FOUND,
    "POST /v1/contracts/{contract_id}/amendments/{amendment_id}/withdraw": FORBIDDEN,
    "POST /v1/contracts/{contract_id}/cancel": FORBIDDEN,
    "POST /v1/contracts/{contract_id}/end": FORBIDDEN,
    "POST /v1/contracts/{contract_id}/renewal": FORBIDDEN,
    "POST /v1/datasets": Ask(404, form={"customer_id": "{customer_id}"}),
    "GET /v1/datasets": LIST,
    "GET /v1/datasets/{dataset_id}": NOT_FOUND,
    "DELETE /v1/datasets/{dataset_id}": NOT_FOUND,
    "GET /v1/datasets/{dataset_id}/file": Ask(404, params={"name": "train.jsonl"}),
    "GET /v1/datasets/{dataset_id}/pictures": NOT_FOUND,
    "POST /v1/datasets/{dataset_id}/captions": Ask(404, body={"trigger": "ink"}),
    "GET /v1/retention": FORBIDDEN,
    "PATCH /v1/retention": FORBIDDEN,
    "POST /v1/retention/preview": FORBIDDEN,
    "POST /v1/datasets/from-uploads": Ask(404, body={"upload_ids": ["{upload_id}"]}),
    "OPTIONS /v1/uploads": Ask(204),
    "POST /v1/uploads": Ask(422, params={"customer_id": "{customer_id}"}),  # with its headers: test_uploads.py
    "GET /v1/uploads": LIST,
    "GET /v1/uploads/{upload_id}": NOT_FOUND,
    "PATCH /v1/uploads/{upload_id}": Ask(422),  # with its headers: test_uploads.py
    "DELETE /v1/uploads/{upload_id}": NOT_FOUND,
    "POST /v1/quotes": Ask(404, body={"config": CONFIG, "dataset_id": "{dataset_id}"}),
    "POST /v1/quotes/batch": Ask(404, body={"configs": [CONFIG], "dataset_id": "{dataset_id}"}),
    "GET /v1/quotes/{quote_id}": NOT_FOUND,
    "GET /v1/quotes/{quote_id}/offers": NOT_FOUND,
    "GET /v1/plan-comparison": Ask(200, params={"gpu_hours": "30", "tokens": "50000"}),
    "POST /v1/jobs": Ask(404, body={"config": CONFIG, "dataset_id": "{dataset_id}"}),
    "POST /v1/jobs/batch": Ask(404, body={"configs": [CONFIG], "dataset_id": "{dataset_id}"}),
    "GET /v1/jobs": LIST,
    "GET /v1/jobs/{job_id}": NOT_FOUND,
    "PATCH /v1/jobs/{job_id}": Ask(404, body={"gpu_types": ["cpu"]}),
    "POST /v1/jobs/{job_id}/cancel": NOT_FOUND,
    "POST /v1/jobs/{job_id}/pause": NOT_FOUND,
    "POST /v1/jobs/{job_id}/resume": NOT_FOUND,
    "GET /v1/jobs/{job_id}/events": NOT_FOUND,
    "GET /v1/jobs/{job_id}/logs": NOT_FOUND,
    "GET /v1/jobs/{job_id}/runs": NOT_FOUND,
    "GET /v1/jobs/{job_id}/losses": NOT_FOUND,
    "GET /v1/jobs/{job_id}/ahead": NOT_FOUND,
    "GET /v1/jobs/{job_id}/why": NOT_FOUND,
    "GET /v1/jobs/{job_id}/tensorboard": NOT_FOUND,
    "GET /v1/jobs/{job_id}/checkpoints": NOT_FOUND,
    "GET /v1/jobs/{job_id}/usage": NOT_FOUND,
    "GET /v1/adapters": LIST,
    "GET /v1/adapters/compare": Ask(404, params={"first": "{adapter_id}", "second": "{adapter_id}"}),
    "GET /v1/adapters/{adapter_id}/lineage": NOT_FOUND,
    "GET /v1/adapters/{adapter_id}": NOT_FOUND,
    "PATCH /v1/adapters/{adapter_id}": Ask(404, body={"tags": ["mine now"]}),
    "DELETE /v1/adapters/{adapter_id}": NOT_FOUND,
    "POST /v1/adapters/{adapter_id}/promote": Ask(404, body={"stage": "test", "reason": "mine now"}),
    "POST /v1/adapters/{adapter_id}/withdraw": Ask(404, body={"stage": "test", "reason": "mine now"}),
    "GET /v1/promotions": Ask(404, params={"adapter_id": "{adapter_id}"}),
    "GET /v1/promotions/{promotion_id}": NOT_FOUND,
    "POST /v1/promotions/{promotion_id}/undo": Ask(404, body={"reason": "mine now"}),
    "GET /v1/adapter-stages": LIST,
    "GET /v1/adapter-retention": LIST,
    "POST /v1/adapter-retention": Ask(404, body={"customer_id": "{customer_id}", "kept_versions": 1}),
    "POST /v1/adapter-retention/preview": Ask(404, body={"customer_id": "{customer_id}", "kept_versions": 1}),
    "POST /v1/environments": Ask(
        404,
        body={
            "customer_id": "{customer_id}",
            "name": "Mine",
            "stage": "test",
            "kind": "vllm",
            "url": "https://me.example.com",
        },
    ),
    "GET /v1/environments": LIST,
    "GET /v1/environments/{environment_id}": NOT_FOUND,
    "PATCH /v1/environments/{environment_id}": Ask(404, body={"url": "https://me.example.com"}),
    "DELETE /v1/environments/{environment_id}": NOT_FOUND,
    "POST /v1/environments/{environment_id}/push": NOT_FOUND,
    "GET /v1/environments/{environment_id}/pushes": NOT_FOUND,
    "GET /v1/adapters/{adapter_id}/config": NOT_FOUND,
    "GET /v1/adapters/{adapter_id}/download": NOT_FOUND,
    "POST /v1/usage-events": FORBIDDEN,
    "GET /v1/usage-events/export": Ask(200, params={"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}),
    "POST /v1/usage-sources": FORBIDDEN,
    "GET /v1/usage-sources": FORBIDDEN,
    "PATCH /v1/usage-sources/{source_id}": FORBIDDEN,
    "GET /v1/quarantined-usage": FORBIDDEN,
    "POST /v1/quarantined-usage/{quarantine_id}/retry": FORBIDDEN,
    "POST /v1/quarantined-usage/{quarantine_id}/dismiss": FORBIDDEN,
    "GET /v1/usage": Ask(404, params={"job_id": "{job_id}", "group_by": "job"}),
    "GET /v1/arrears": LIST,
    "GET /v1/customers/{customer_id}/arrears": NOT_FOUND,
    "GET /v1/contracts/{contract_id}/arrears": NOT_FOUND,
    "GET /v1/contracts/{contract_id}/arrears/deletions": NOT_FOUND,
    "POST /v1/contracts/{contract_id}/arrears/extensions": FORBIDDEN,
    "POST /v1/invoices/{invoice_id}/reminders": FORBIDDEN,
    "GET /v1/invoices/{invoice_id}/reminders": NOT_FOUND,
    "POST /v1/customers/{customer_id}/contacts": Ask(404, body={"name": "Mine", "address": "me@example.com"}),
    "GET /v1/customers/{customer_id}/contacts": NOT_FOUND,
    "DELETE /v1/customers/{customer_id}/contacts/{contact_id}": NOT_FOUND,
    "GET /v1/notices": LIST,
    "POST /v1/secrets": Ask(
        404, body={"customer_id": "{customer_id}", "name": "mine", "kind": "wandb", "key": "a-key-of-mine"}
    ),
    "GET /v1/secrets": LIST,
    "GET /v1/secrets/{secret_id}": NOT_FOUND,
    "PATCH /v1/secrets/{secret_id}": Ask(404, body={"key": "a-key-of-mine"}),
    "DELETE /v1/secrets/{secret_id}": NOT_FOUND,
    "POST /v1/webhook-endpoints": Ask(
        404, body={"customer_id": "{customer_id}", "name": "Mine", "url": "https://me.example.com"}
    ),
    "GET /v1/webhook-endpoints": LIST,
    "GET /v1/webhook-endpoints/{endpoint_id}": NOT_FOUND,
    "PATCH /v1/webhook-endpoints/{endpoint_id}": Ask(404, body={"url": "https://me.example.com"}),
    "DELETE /v1/webhook-endpoints/{endpoint_id}": NOT_FOUND,
    "POST /v1/webhook-endpoints/{endpoint_id}/rotate-secret": Ask(404, body={}),
    "POST /v1/webhook-endpoints/{endpoint_id}/test": NOT_FOUND,
    "POST /v1/webhook-endpoints/{endpoint_id}/replay": Ask(404, body={"event_id": "{event_id}"}),
    "GET /v1/webhook-endpoints/{endpoint_id}/deliveries": NOT_FOUND,
    "GET /v1/webhook-endpoints/{endpoint_id}/attempts": NOT_FOUND,
    "GET /v1/events": LIST,
    "GET /v1/events/{event_id}": NOT_FOUND,
    "POST /v1/approvals": FORBIDDEN,
    "GET /v1/approvals": FORBIDDEN,
    "GET /v1/approvals/{approval_id}": FORBIDDEN,
    "POST /v1/approvals/{approval_id}/approve": FORBIDDEN,
    "POST /v1/approvals/{approval_id}/reject": FORBIDDEN,
    "POST /v1/fapiao": Ask(
        404, body={"customer_id": "{customer_id}", "kind": "normal", "title": {"name": "Tea"}, "amount": "1.00"}
    ),
    "GET /v1/fapiao": LIST,
    "GET /v1/fapiao/invoiceable": Ask(404, params={"customer_id": "{customer_id}"}),
    "GET /v1/fapiao/debts": FORBIDDEN,
    "GET /v1/fapiao/{fapiao_id}": NOT_FOUND,
    "POST /v1/fapiao/{fapiao_id}/issue": FORBIDDEN,
    "POST /v1/fapiao/{fapiao_id}/cancel": NOT_FOUND,
    "POST /v1/fapiao/{fapiao_id}/red": FORBIDDEN,
    "POST /v1/fapiao/{fapiao_id}/files": FORBIDDEN,
    "GET /v1/fapiao/{fapiao_id}/file": NOT_FOUND,
    "POST /v1/invoices": FORBIDDEN,
    "GET /v1/invoices": Ask(404, params={"contract_id": "{contract_id}"}),
    "GET /v1/invoices/upcoming": Ask(404, params={"contract_id": "{contract_id}"}),
    "GET /v1/invoices/{invoice_id}": NOT_FOUND,
    "GET /v1/invoices/{invoice_id}/breakdown": Ask(404, params={"label": "team"}),
    "GET /v1/invoices/{invoice_id}/evidence": NOT_FOUND,
    "POST /v1/invoices/{invoice_id}/finalize": FORBIDDEN,
    "POST /v1/invoices/{invoice_id}/pay": FORBIDDEN,
    "POST /v1/invoices/{invoice_id}/void": FORBIDDEN,
    "GET /v1/reports/monthly-cost": Ask(404, params={"month": "2026-11", "contract_id": "{contract_id}"}),
    "GET /v1/reports/plan-advice": Ask(404, params={"customer_id": "{customer_id}"}),
    "GET /v1/reports/receivables": Ask(404, params={"customer_id": "{customer_id}"}),
    "GET /v1/reports/margin": FORBIDDEN,
    "GET /v1/reports/revenue": FORBIDDEN,
    "GET /v1/reports/focus": Ask(404, params={"month": "2026-11", "customer_id": "{customer_id}"}),
    "GET /v1/reports/pool-margin": FORBIDDEN,
    "GET /v1/reports/commitments": Ask(404, params={"customer_id": "{customer_id}"}),
    "GET /v1/reports/journal": FORBIDDEN,
    "GET /v1/reports/reconciliation": FORBIDDEN,
    "GET /v1/reports/estimator-accuracy": FORBIDDEN,
    "GET /v1/reports/start-accuracy": FORBIDDEN,
    "GET /v1/base-models": SHARED,
    "GET /v1/base-models/{base_model}": SHARED,
    "GET /v1/queues": LIST,
    "GET /v1/queues/{queue}": NOT_FOUND,
    "PATCH /v1/queues/{queue}": FORBIDDEN,
    "GET /v1/contracts/{contract_id}/quota": NOT_FOUND,
    "PATCH /v1/contracts/{contract_id}/quota": FORBIDDEN,
    "GET /v1/pools": LIST,
    "GET /v1/pools/{pool}": SHARED,
    "PATCH /v1/pools/{pool}": FORBIDDEN,
    "GET /v1/operations/overview": FORBIDDEN,
    "GET /v1/contracts/{contract_id}/standing": NOT_FOUND,
    "GET /v1/announcements": LIST,
    "POST /v1/announcements": FORBIDDEN,
    "GET /v1/pools/{pool}/cost-rates": FORBIDDEN,
    "POST /v1/pools/{pool}/cost-rates": FORBIDDEN,
    "DELETE /v1/announcements/{announcement_id}": FORBIDDEN,
    "GET /v1/audit": FORBIDDEN,
    "GET /v1/audit/{entry_id}": FORBIDDEN,
    "POST /v1/audit/{entry_id}/undo": FORBIDDEN,
    "POST /v1/queues/simulations": FORBIDDEN,
    "GET /v1/queues/simulations/{simulation_id}": FORBIDDEN,
    "POST /v1/queues/simulations/{simulation_id}/apply": FORBIDDEN,
    "POST /v1/jobs/priorities": FORBIDDEN,
    "GET /v1/agents": FORBIDDEN,
    "GET /v1/agents/{agent_id}": FORBIDDEN,
    "POST /v1/runs/{run_id}/claim": FORBIDDEN,
    "POST /v1/runs/{run_id}/heartbeats": FORBIDDEN,
    "POST /v1/runs/{run_id}/logs": FORBIDDEN,
    "POST /v1/runs/{run_id}/finish": FORBIDDEN,
    "GET /v1/runs/{run_id}/dataset": FORBIDDEN,
    "GET /v1/runs/{run_id}/checkpoint": FORBIDDEN,
    "GET /v1/runs/{run_id}/init-adapter": FORBIDDEN,
    "PUT /v1/runs/{run_id}/checkpoints/{step}": FORBIDDEN,
    "GET /v1/runs/{run_id}/chunks/{sha256}": FORBIDDEN,
    "PUT /v1/runs/{run_id}/chunks/{sha256}": FORBIDDEN,
    "PUT /v1/runs/{run_id}/adapter": FORBIDDEN,
    "PUT /v1/runs/{run_id}/captions": FORBIDDEN,
    "PUT /v1/runs/{run_id}/report": FORBIDDEN,
}
NAMES_NO_TENANT = {
    "GET /v1/announcements",
    "GET /v1/plan-comparison",
    "GET /v1/pools",
    "GET /v1/adapters/{adapter_id}/config",
    "GET /v1/adapters/{adapter_id}/download",
    "GET /v1/datasets/{dataset_id}/file",
    "GET /v1/datasets/{dataset_id}/pictures",
    "GET /v1/quotes/{quote_id}/offers",
    "GET /v1/invoices/{invoice_id}/reminders",
}
RUN_BODIES = {
    "POST /v1/runs/{run_id}/claim": {"fence_token": 1},
    "POST /v1/runs/{run_id}/heartbeats": {"fence_token": 1},
    "POST /v1/runs/{run_id}/logs": {
        "fence_token": 1,
        "lines": [{"number": 0, "at": "2026-11-24T10:00:00Z", "text": "x"}],
    },
    "POST /v1/runs/{run_id}/finish": {"fence_token": 1, "outcome": "failed"},
}
JOB = {"config": CONFIG, "dataset_id": "{own.dataset_id}", "contract_id": "{own.contract_id}"}
FOREIGN_JOBS = [
    {**JOB, "quote_id": "{quote_id}"},
    {**JOB, "contract_id": "{contract_id}"},
    {**JOB, "project_id": "{project_id}"},
    {**JOB, "customer_id": "{customer_id}"},
    {**JOB, "dataset_id": "{dataset_id}", "quote_id": "{quote_id}"},
]


@dataclass(frozen=True)
class Furnished:
    """Two tenants, the rows that they are, which every test here begins with, and their data folder."""

    contents: Contents
    settings: Settings
    tenants: tuple[Tenant, Tenant]


@pytest.fixture(scope="module")
def furnished(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), local_slots=0)
    with cloned_database(server) as urls:
        tenants = asyncio.run(make_tenants(settings, urls))
        with psycopg.connect(str(urls.owner)) as owner:
            return Furnished(read_contents(owner), settings, tenants)


async def make_tenants(settings: Settings, urls: DatabaseUrls) -> tuple[Tenant, Tenant]:
    await (await prepare(settings, urls)).database.close()
    system = open_system(settings, urls.app, clock=ManualClock())
    async with Api.connect(create_app(system), settings.admin_key_path.read_text().strip()) as api:
        tenants = await make_tenant(api, system), await make_tenant(api, system)
    await system.database.close()
    return tenants


@pytest.fixture
def settings(furnished: Furnished) -> Settings:
    return furnished.settings


@pytest.fixture
def started(lent: LentDatabase, furnished: Furnished) -> LentDatabase:
    lent.fill(furnished.contents)
    return lent


@pytest.fixture
def urls(started: LentDatabase) -> DatabaseUrls:
    return started.urls


@pytest.fixture
def tenants(furnished: Furnished) -> tuple[Tenant, Tenant]:
    """Return the tenant whose key is used and the one whose ids are asked for; both have one of everything."""
    return furnished.tenants


@pytest.fixture(params=["both guards", "services alone", "database alone"])
async def guarded_app(
    request: pytest.FixtureRequest,
    system: System,
    routed_app: FastAPI,
    settings: Settings,
    urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[FastAPI]:
    """Create the application with both guards of tenancy, and with each of them taken away."""
    if request.param == "database alone":
        monkeypatch.setattr(Work, "confined_to", None)  # what sessions and the driver's statements are confined to
    if request.param != "services alone":
        yield create_routed_app(system, routed_app)
        return
    assert urls.owner is not None
    unguarded = open_system(settings, urls.owner, clock=system.services.clock)
    yield create_routed_app(unguarded, routed_app)
    await unguarded.database.close()


def list_operations(app: FastAPI) -> Iterator[tuple[str, str]]:
    for path, item in {**app.openapi()["paths"], **make_workers_openapi(app)["paths"]}.items():
        kind = "queue" if "/queues/" in path else "pool"
        for method in item:
            yield method.upper(), path.replace("{name}", f"{{{kind}}}")


def fill(value: Any, own: Tenant, other: Tenant) -> Any:
    if isinstance(value, dict):
        return {key: fill(inner, own, other) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    return value.format(
        **{
            **vars(other),
            "pool": "test",
            "refund_id": "ref_test",
            "agent_id": "agt_test",
            "simulation_id": "sim_test",
            "source_id": "src_test",
            "quarantine_id": "qua_test",
            "entry_id": "aud_test",
            "announcement_id": "ann_test",
            "base_model": "sd-1.5",
            "month": "2026-11",
            "version": "2026-01-01",
            "number": "1",
            "step": "1",
            "sha256": "0" * 64,
            "own": own,
        }
    )


def make_options(ask: Ask, own: Tenant, other: Tenant) -> dict[str, Any]:
    options: dict[str, Any] = {"params": fill(ask.params, own, other)}
    if ask.form is not None:
        options |= {"data": fill(ask.form, own, other), "files": {"files": ("train.jsonl", jsonl())}}
    elif ask.body is not None:
        options["json"] = fill(ask.body, own, other)
    return options


@pytest.fixture(scope="module")
def operations(routed_app: FastAPI) -> list[tuple[str, str]]:
    """List the method and path of every route: making the two documents takes seconds."""
    return [*list_operations(routed_app)]


def test_every_route_has_its_answer_here(operations: list[tuple[str, str]]) -> None:
    """A new route must say what a foreign key gets; this is how it is not forgotten."""
    assert {f"{method} {path}" for method, path in operations} == ANSWERS.keys()


async def test_no_route_gives_or_changes_what_another_tenant_has(
    guarded_app: FastAPI, tenants: tuple[Tenant, Tenant], urls: DatabaseUrls, operations: list[tuple[str, str]]
) -> None:
    own, other = tenants
    before = read_everything(urls)
    faults = []
    async with Api.connect(guarded_app, own.key) as stranger:
        for method, path in operations:
            ask = ANSWERS[f"{method} {path}"]
            address = fill(path, own, other)
            response = await stranger.http.request(method, address, **make_options(ask, own, other))
            sent = f"{address} {make_options(ask, own, other)}" if ask.status != 200 else ""
            told = {mark for mark in other.marks() if mark in response.text and mark not in sent}
            if response.status_code != ask.status or told:
                faults.append((method, path, response.status_code, told, response.text[:200]))
    assert faults == []
    assert read_everything(urls) == before


async def test_the_same_routes_do_answer_the_owner(app: FastAPI, tenants: tuple[Tenant, Tenant]) -> None:
    """So that a 404 above is for the tenant and not for a wrong address."""
    _stranger, owner = tenants
    async with Api.connect(app, owner.key) as own:
        for name, ask in ANSWERS.items():
            method, path = name.split()
            if method == "GET" and ask.status != 403:
                response = await own.http.request(method, fill(path, owner, owner), **make_options(ask, owner, owner))
                assert response.status_code == 200, (name, response.text)
                if ask is not SHARED and name not in NAMES_NO_TENANT:
                    assert any(mark.encode() in response.content for mark in {*owner.marks(), owner.queue}), name


@pytest.mark.parametrize("body", FOREIGN_JOBS, ids=lambda body: ",".join(body.keys()))
async def test_job_with_another_tenants_object_is_not_found(
    guarded_app: FastAPI, tenants: tuple[Tenant, Tenant], urls: DatabaseUrls, body: dict[str, Any]
) -> None:
    own, other = tenants
    before = read_everything(urls)
    async with Api.connect(guarded_app, own.key) as stranger:
        problem = await stranger.post("/jobs", fill(body, own, other), expect=404)
    assert problem["type"] == "/problems/not-found"
    assert read_everything(urls) == before


async def test_job_of_ones_own_objects_is_admitted(app: FastAPI, tenants: tuple[Tenant, Tenant]) -> None:
    """The control of the test above: the same body with nothing foreign in it."""
    own, _other = tenants
    body = {**JOB, "quote_id": "{own.quote_id}", "project_id": "{own.project_id}", "customer_id": "{own.customer_id}"}
    async with Api.connect(app, own.key) as customer:
        job = await customer.post("/jobs", fill(body, own, own), expect=201)
    assert (job["customer_id"], job["quote_id"]) == (own.customer_id, own.quote_id)


async def test_staff_cannot_mix_two_tenants_in_one_job(
    api: Api, tenants: tuple[Tenant, Tenant], urls: DatabaseUrls
) -> None:
    own, other = tenants
    before = read_everything(urls)
    for body, status in ((0, 409), (1, 404), (2, 404), (4, 404)):
        await api.post("/jobs", {**fill(FOREIGN_JOBS[body], own, other), "customer_id": own.customer_id}, expect=status)
    assert read_everything(urls) == before


RUN_ROUTES = [name for name in ANSWERS if "/runs/{run_id}" in name]


async def ask_as_run(app: FastAPI, token: str, name: str, run_id: str) -> Any:
    method, path = name.split()
    headers = {"Authorization": f"Bearer {token}".encode("latin-1")}
    if method == "PUT":
        headers |= {"X-Fence-Token": b"1", "X-Content-SHA256": b"0" * 64}
    options: dict[str, Any] = {"content": b"x"} if method == "PUT" else {"json": RUN_BODIES.get(name)}
    async with Api.connect(app, "replaced") as worker:
        return await worker.http.request(
            method, path.format(run_id=run_id, step=1, sha256="0" * 64), headers=headers, **options
        )


@pytest.mark.parametrize("which", ["another tenant's run", "another run of the same tenant"])
async def test_run_token_is_good_for_its_own_run_only(
    guarded_app: FastAPI, system: System, tenants: tuple[Tenant, Tenant], urls: DatabaseUrls, which: str
) -> None:
    own, other = tenants
    token = sign_run_token(system.services.secret, RunBearer(own.live_run_id, own.customer_id))
    run_id = other.live_run_id if which == "another tenant's run" else own.run_id
    before = read_everything(urls)
    for name in RUN_ROUTES:
        response = await ask_as_run(guarded_app, token, name, run_id)
        assert response.status_code == 404, (name, response.text)
    assert read_everything(urls) == before


@pytest.mark.parametrize("secret", [b"", b"another broker's secret"])
async def test_forged_run_token_is_refused(
    app: FastAPI, tenants: tuple[Tenant, Tenant], urls: DatabaseUrls, secret: bytes
) -> None:
    own, _other = tenants
    before = read_everything(urls)
    bearer = f"lbr.{own.live_run_id}.{own.customer_id}"
    for token in (sign_run_token(secret, RunBearer(own.live_run_id, own.customer_id)), f"{bearer}.", f"{bearer}.é"):
        for name in RUN_ROUTES:
            response = await ask_as_run(app, token, name, own.live_run_id)
            assert response.status_code == 401, (name, response.text)
    assert read_everything(urls) == before


async def test_run_token_of_a_run_that_never_was_is_refused(
    app: FastAPI, system: System, tenants: tuple[Tenant, Tenant]
) -> None:
    bearer = RunBearer("run_01k00000000000000000000000", tenants[0].customer_id)
    token = sign_run_token(system.services.secret, bearer)
    response = await ask_as_run(app, token, "POST /v1/runs/{run_id}/claim", bearer.run_id)
    assert response.status_code == 404


async def test_run_token_of_another_tenant_for_the_same_run_reaches_nothing(
    app: FastAPI, system: System, tenants: tuple[Tenant, Tenant]
) -> None:
    own, other = tenants
    token = sign_run_token(system.services.secret, RunBearer(own.live_run_id, other.customer_id))
    for name in RUN_ROUTES:
        response = await ask_as_run(app, token, name, own.live_run_id)
        assert response.status_code == 404, (name, response.text)


async def test_run_token_reaches_nothing_but_the_worker_protocol(
    app: FastAPI, system: System, tenants: tuple[Tenant, Tenant]
) -> None:
    """A worker runs the customer's training code: its token must not read what else the customer has."""
    own, _other = tenants
    async with Api.connect(
        app, sign_run_token(system.services.secret, RunBearer(own.live_run_id, own.customer_id))
    ) as worker:
        for name in ANSWERS.keys() - RUN_ROUTES - WITHOUT_A_KEY - {"POST /v1/usage-events"}:
            method, path = name.split()
            response = await worker.http.request(method, fill(path, own, own))
            assert response.status_code == 403, (name, response.text)


# ── the database itself ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tenant_tables(urls: DatabaseUrls) -> list[str]:
    found = list_tables(urls, TENANT_TABLES)
    assert {"jobs", "ledger_entries", "api_keys"} <= set(found)
    return found


def scoped(urls: DatabaseUrls, scope: str | None, customer_id: str = "") -> psycopg.Connection[dict[str, Any]]:
    connection = psycopg.connect(urls.app, row_factory=dict_row)
    if scope is not None:
        connection.execute(
            "SELECT set_config('broker.scope', %s, false), set_config('broker.customer_id', %s, false)",
            [scope, customer_id],
        )
        connection.commit()
    return connection


def on(table: str, query: str) -> sql.Composed:
    return sql.SQL(query).format(table=sql.Identifier(table))


def count(connection: psycopg.Connection[dict[str, Any]], table: str, customer_id: str) -> int:
    row = connection.execute(on(table, "SELECT count(*) AS n FROM {table} WHERE customer_id = %s"), [customer_id])
    return int((row.fetchone() or {})["n"])


def test_every_table_of_a_customer_forces_row_level_security(urls: DatabaseUrls, tenant_tables: list[str]) -> None:
    """Read from the catalogue, so that a table that a later migration brings cannot forget it."""
    query = """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced,
               (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
        FROM pg_class c WHERE c.relname = ANY(%s) AND c.relnamespace = 'public'::regnamespace
    """
    with owner_connection(urls) as connection:
        rows = connection.execute(query, [[*tenant_tables, "customers"]]).fetchall()
    assert len(rows) == len(tenant_tables) + 1
    assert [row["relname"] for row in rows if not row["forced"] or not row["policies"]] == []


def test_a_table_without_customer_is_one_of_those_that_are_shared(urls: DatabaseUrls, tenant_tables: list[str]) -> None:
    assert set(list_tables(urls)) - set(tenant_tables) - {"customers"} == SHARED_TABLES


def test_application_role_owns_nothing_and_bypasses_nothing(urls: DatabaseUrls) -> None:
    with owner_connection(urls) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = %s", [APP_ROLE]
        ).fetchone()
        owned = connection.execute("SELECT tablename FROM pg_tables WHERE tableowner = %s", [APP_ROLE]).fetchall()
        member = connection.execute(
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [APP_ROLE]
        ).fetchall()
    assert role is not None
    assert set(role.values()) == {False}
    assert (owned, member) == ([], [])


async def test_tenant_scope_sees_own_rows_only(
    urls: DatabaseUrls, tenants: tuple[Tenant, Tenant], tenant_tables: list[str]
) -> None:
    own, other = tenants
    with owner_connection(urls) as everything, scoped(urls, "tenant", own.customer_id) as connection:
        for table in tenant_tables:
            assert count(everything, table, other.customer_id) > 0, f"{table}: the test proves nothing without a row"
            assert count(connection, table, other.customer_id) == 0, table
            assert count(connection, table, own.customer_id) == count(everything, table, own.customer_id), table
        rows = connection.execute("SELECT id FROM customers").fetchall()
    assert [row["id"] for row in rows] == [own.customer_id]


async def test_scope_of_a_batch_sees_the_rows_of_its_tenants_and_no_others(
    urls: DatabaseUrls, tenants: tuple[Tenant, Tenant], tenant_tables: list[str]
) -> None:
    own, other = tenants
    both = f"{own.customer_id},{other.customer_id}"
    with (
        owner_connection(urls) as everything,
        scoped(urls, "tenants", f"{own.customer_id},cus_none") as batch_of_one,
        scoped(urls, "tenants", both) as batch,
        scoped(urls, "tenant", both) as nobody,
    ):
        for table in tenant_tables:
            assert count(batch_of_one, table, other.customer_id) == 0, table
            for tenant in tenants:
                assert count(batch, table, tenant.customer_id) == count(everything, table, tenant.customer_id), table
                assert count(nobody, table, tenant.customer_id) == 0, table
        assert len(batch.execute("SELECT id FROM customers").fetchall()) == 2
        give_away = "UPDATE jobs SET customer_id = %s WHERE customer_id = %s"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"), batch_of_one.transaction():
            batch_of_one.execute(give_away, [other.customer_id, own.customer_id])


async def test_tenant_scope_sees_no_row_of_the_staff(urls: DatabaseUrls, tenants: tuple[Tenant, Tenant]) -> None:
    own, _other = tenants
    with owner_connection(urls) as everything:
        staff = everything.execute("SELECT count(*) AS n FROM api_keys WHERE customer_id IS NULL").fetchone()
        assert staff is not None
        assert staff["n"] == 1
    with scoped(urls, "tenant", own.customer_id) as connection:
        assert connection.execute("SELECT 1 FROM api_keys WHERE customer_id IS NULL").fetchall() == []
        assert connection.execute("SELECT 1 FROM idempotency_keys WHERE customer_id IS NULL").fetchall() == []


async def test_tenant_scope_changes_no_foreign_row(
    urls: DatabaseUrls, tenants: tuple[Tenant, Tenant], tenant_tables: list[str]
) -> None:
    own, other = tenants
    before = read_everything(urls)
    with scoped(urls, "tenant", own.customer_id) as connection:
        for table in tenant_tables:
            update = on(table, "UPDATE {table} SET customer_id = customer_id WHERE customer_id = %s")
            if table in RECORDS:
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(update, [own.customer_id])
                continue
            assert connection.execute(update, [other.customer_id]).rowcount == 0, table
            give_away = on(table, "UPDATE {table} SET customer_id = %s WHERE customer_id = %s")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"), connection.transaction():
                connection.execute(give_away, [other.customer_id, own.customer_id])
        connection.commit()
    assert read_everything(urls) == before


def list_written_columns(connection: psycopg.Connection[dict[str, Any]], table: str) -> list[str]:
    """List the columns of a table that are written, and not generated from others."""
    query = (
        "SELECT column_name AS name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'"
    )
    return [row["name"] for row in connection.execute(query, [table])]


async def test_tenant_scope_writes_no_row_for_another(
    urls: DatabaseUrls, tenants: tuple[Tenant, Tenant], tenant_tables: list[str]
) -> None:
    own, other = tenants
    with owner_connection(urls) as everything, scoped(urls, "tenant", own.customer_id) as connection:
        for table in tenant_tables:
            query = on(table, "SELECT to_jsonb(t) AS row FROM {table} t WHERE customer_id = %s LIMIT 1")
            found = everything.execute(query, [other.customer_id]).fetchone()
            assert found is not None
            columns = sql.SQL(", ").join(sql.Identifier(name) for name in list_written_columns(everything, table))
            insert = sql.SQL(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, %s)"
            ).format(table=sql.Identifier(table), columns=columns)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"), connection.transaction():
                connection.execute(insert, [json.dumps(found["row"])])


async def test_without_scope_nothing_is_seen(
    urls: DatabaseUrls, tenants: tuple[Tenant, Tenant], tenant_tables: list[str]
) -> None:
    """Not even with the customer's id: the scope has to be set. To authenticate, keys and sessions are only read."""
    own, _other = tenants
    for scope in (None, "", "everything", "authenticate"):
        with scoped(urls, scope, own.customer_id) as connection:
            for table in {"customers", *tenant_tables} - (READ_BY_TOKEN if scope == "authenticate" else set()):
                assert connection.execute(on(table, "SELECT 1 FROM {table}")).fetchall() == [], (scope, table)
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"), connection.transaction():
                connection.execute("INSERT INTO customers VALUES ('cus_x', 'x', now())")
            assert connection.execute("UPDATE api_keys SET revoked_at = now()").rowcount == 0, scope


async def test_scope_ends_with_its_transaction(system: System, tenants: tuple[Tenant, Tenant]) -> None:
    """The next request on the same connection starts with nothing."""
    async with system.work():
        pass
    async with system.database.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT current_setting('broker.scope', true), count(*) FROM jobs")
        assert tuple(rows.one()) in {("", 0), (None, 0)}


DELETION = "DELETE FROM {table}"
CHANGES = ("UPDATE {table} SET {column} = {column}", DELETION, "TRUNCATE {table} CASCADE")


@pytest.mark.parametrize("role", ["application", "owner"])
async def test_records_are_never_changed_or_deleted(
    urls: DatabaseUrls, tenants: tuple[Tenant, Tenant], role: str
) -> None:
    refused = (psycopg.errors.RaiseException, psycopg.errors.InsufficientPrivilege)
    with owner_connection(urls) if role == "owner" else scoped(urls, "all") as connection:
        for table in RECORDS:
            assert connection.execute(on(table, "SELECT 1 FROM {table} LIMIT 1")).fetchone() is not None
            names = {"rate_cards": "version", "closed_months": "month", "checkpoint_marks": "step"}
            names |= {"usage_events": "tokens", "usage_event_keys": "event_id", "noticed": "event_id"}
            names |= {
                "quarantine_decisions": "decision",
                "template_versions": "version",
                "amendment_withdrawals": "amendment_id",
            }
            column = sql.Identifier(names.get(table, "id"))
            for change in set(CHANGES) - ({DELETION} if table in SWEPT_RECORDS else set()):
                query = sql.SQL(change).format(table=sql.Identifier(table), column=column)
                with pytest.raises(refused), connection.transaction():
                    connection.execute(query)


async def test_lists_send_the_same_messages_however_long_they_are(
    app: FastAPI, settings: Settings, tenants: tuple[Tenant, Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that asks for something of each of its rows asks more with two tenants' rows than with one row."""
    faults, seen = [], 0
    async with Api.connect(app, settings.admin_key_path.read_text().strip()) as admin:
        await admin.get("/whoami")
        for path, item in app.openapi()["paths"].items():
            taken = {parameter["name"] for parameter in item.get("get", {}).get("parameters", [])}
            if {"cursor", "limit"} <= taken and "{" not in path:
                asked = ANSWERS[f"GET {path}"].params
                wanted = {name: value for name, value in asked.items() if not name.endswith("_id")}
                options = {"params": fill(wanted, *tenants)}
                counts = []
                for limit in (1, 100):
                    await admin.http.get(path, params=options["params"] | {"limit": limit})
                    with listing_messages(monkeypatch) as messages:
                        answer = await admin.http.get(path, params=options["params"] | {"limit": limit})
                    counts.append((len(answer.json().get("data", [])), len(messages)))
                (few_rows, few), (many_rows, many) = counts
                seen += many_rows > few_rows
                if few < many:
                    faults.append(f"{path}: {few} messages for {few_rows} rows, {many} for {many_rows}")
    assert faults == []
    assert seen >= 20
