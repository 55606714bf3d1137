"""Builders with defaults: each makes a valid object over the API, and takes what a test wants different."""

import io
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
from fastapi import FastAPI

from broker.identity.model import RunBearer, sign_run_token
from broker.jobs.running.locked_run import get_run
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.pools import register_pool

SIGNED_AT = "2026-11-01T00:00:00Z"
NUMBERS = itertools.count(1)
CONFIG = {"base_model": "smollm2-135m-instruct", "epochs": 1, "max_length": 256, "save_steps": 5}
ROWS = [
    {"prompt": f"Write line {number} about tea.", "completion": f"Tea number {number}, picked at dawn."}
    for number in range(1, 9)
]


@dataclass
class Api:
    """One API key at the application, without a network between."""

    app: FastAPI
    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def connect(cls, app: FastAPI, key: str) -> AsyncIterator["Api"]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://broker", headers=headers) as http:
            yield cls(app, http)

    async def call(self, method: str, path: str, *, expect: int | None = None, **options: Any) -> httpx.Response:
        response = await self.http.request(method, f"/v1{path}", **options)
        if expect is not None:
            assert response.status_code == expect, response.text
        return response

    async def get(self, path: str, *, expect: int = 200, **params: Any) -> Any:
        return (await self.call("GET", path, expect=expect, params=params)).json()

    async def post(self, path: str, body: Any = None, *, expect: int = 200, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return (await self.call("POST", path, expect=expect, json=body or {}, headers=headers)).json()


async def make_customer(api: Api, name: str | None = None) -> Any:
    return await api.post("/customers", {"name": name or f"Customer {next(NUMBERS)}"}, expect=201)


@asynccontextmanager
async def customer_api(api: Api, customer_id: str) -> AsyncIterator[Api]:
    """Connect the customer itself to the API, with a key of its own."""
    made = await api.post(f"/customers/{customer_id}/api-keys", {"name": "test"}, expect=201)
    async with Api.connect(api.app, made["key"]) as own:
        yield own


async def staff_key(api: Api, role: str) -> str:
    return str((await api.post("/api-keys", {"name": role, "role": role}, expect=201))["key"])


async def sign_contract(
    api: Api, customer_id: str, *, plan: str = "on_demand", expect: int = 201, **fields: Any
) -> Any:
    """Sign a contract at the first card's prices; in force when tests begin is a later one, at half of them."""
    terms = {"customer_id": customer_id, "plan": plan, "starts_at": SIGNED_AT, **fields}
    return await api.post("/contracts", terms, expect=expect)


async def sign_prepaid(api: Api, customer_id: str, *, hours: int = 500, **fields: Any) -> Any:
    """Sign a prepaid contract and pay its advance invoice."""
    contract = await sign_contract(api, customer_id, plan="prepaid", committed_gpu_hours=hours, **fields)
    await api.post(f"/invoices/{contract['advance_invoice_id']}/pay")
    return contract


async def amend_contract(api: Api, contract_id: str, *, expect: int = 201, **changes: Any) -> Any:
    """Amend a contract as its preview shows it; a refusal is that of the preview."""
    path = f"/contracts/{contract_id}/amendments"
    shown = await api.post(f"{path}/preview", changes, expect=200 if expect == 201 else expect)
    return await api.post(path, {**changes, "preview": shown["preview"]}, expect=201) if expect == 201 else shown


def jsonl(rows: list[dict[str, str]] = ROWS) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


async def upload_dataset(
    api: Api, customer_id: str | None = None, *, content: bytes | None = None, name: str | None = None
) -> Any:
    given = {"customer_id": customer_id, "name": name}
    fields = {field: value for field, value in given.items() if value}
    files = {"files": ("train.jsonl", io.BytesIO(content if content is not None else jsonl()))}
    return (await api.call("POST", "/datasets", expect=201, files=files, data=fields)).json()


async def submit_job(api: Api, dataset_id: str, *, expect: int = 201, key: str | None = None, **fields: Any) -> Any:
    body = {"config": CONFIG, "dataset_id": dataset_id, **fields}
    return await api.post("/jobs", body, expect=expect, key=key)


@dataclass
class Customer:
    """A customer with a contract and a data set, ready to submit."""

    id: str
    contract: Any
    dataset: Any


async def make_ready_customer(api: Api, *, plan: str = "on_demand", **contract: Any) -> Customer:
    customer = await make_customer(api)
    if plan == "prepaid":
        signed = await sign_prepaid(api, customer["id"], **contract)
    else:
        signed = await sign_contract(api, customer["id"], plan=plan, **contract)
    return Customer(customer["id"], signed, await upload_dataset(api, customer["id"]))


async def dispatch(system: System, *, gpus: int = 1, sku: str = "cpu") -> None:
    """One scheduling cycle over a pool of so many devices of a type."""
    async with system.work() as work:
        await register_pool(work, name="test", sku=sku, engine="local", total_gpus=gpus)
        await run_cycle(work)


@asynccontextmanager
async def worker_api(app: FastAPI, system: System, run_id: str) -> AsyncIterator[Api]:
    """Connect the worker of a run to the API."""
    async with system.work() as work:
        bearer = RunBearer(run_id, (await get_run(work, run_id)).customer_id)
    async with Api.connect(app, sign_run_token(system.services.secret, bearer)) as worker:
        yield worker


def usage_event(
    run_id: str,
    sequence: int = 0,
    *,
    gpu_seconds: int = 2,
    tokens: int = 100,
    started_at: datetime = datetime(2026, 11, 10, 4, tzinfo=UTC),
    ended_at: datetime | None = None,
) -> dict[str, Any]:
    ended = (ended_at or started_at + timedelta(seconds=gpu_seconds)).isoformat()
    return {
        "specversion": "1.0",
        "id": f"{run_id}/{sequence}",
        "source": f"/runs/{run_id}",
        "type": "lora.usage.interval",
        "subject": run_id,
        "time": ended,
        "datacontenttype": "application/json",
        "data": {
            "sequence": sequence,
            "started_at": started_at.isoformat(),
            "ended_at": ended,
            "gpu_seconds": gpu_seconds,
            "tokens": tokens,
        },
    }
