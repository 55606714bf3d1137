"""A job from submission to its invoice, with the worker's side spoken over the API."""

import hashlib
from typing import Any

import pytest
from fastapi import FastAPI

from broker.persistence.database import Scope
from broker.reports.verify import verify_ledger
from broker.system import System
from tests.broker.adapter_files import safetensors_file
from tests.broker.factories import (
    Api,
    dispatch,
    make_ready_customer,
    submit_job,
    usage_event,
    worker_api,
)


async def upload(worker: Api, run_id: str, content: bytes, path: str = "adapter", fence: int = 1) -> Any:
    headers = {"X-Fence-Token": str(fence), "X-Content-SHA256": hashlib.sha256(content).hexdigest()}
    return await worker.call("PUT", f"/runs/{run_id}/{path}", expect=201, content=content, headers=headers)


@pytest.mark.story
async def test_job_goes_from_submission_to_invoice(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    held = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert held["held_gpu_seconds"] == job["estimate"]["gpu_seconds"]["p90"]

    await dispatch(system)
    run = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]
    async with worker_api(app, system, run["id"]) as worker:
        assignment = await worker.post(f"/runs/{run['id']}/claim", {"fence_token": 1})
        assert assignment["config"]["base_model"] == "smollm2-135m-instruct"
        beat = {"fence_token": 1, "progress": {"step": 1, "total_steps": 2, "loss": 2.5}}
        answer = await worker.post(
            f"/runs/{run['id']}/heartbeats", {**beat, "usage": [usage_event(run["id"], gpu_seconds=30, tokens=200)]}
        )
        cost = {"amount": "0.061333", "currency": "CNY"}  # 30 s at 5.2 an hour, 200 tokens at 0.00009
        assert answer == {
            "command": "continue",
            "reason": None,
            "acknowledged_sequence": 0,
            "quarantined": [],
            "cost_so_far": cost,
        }
        await upload(worker, run["id"], safetensors_file())
        done = await worker.post(f"/runs/{run['id']}/finish", {"fence_token": 1, "outcome": "succeeded"})
        assert done == {"run_status": "succeeded", "job_status": "succeeded", "quarantined": []}

    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert (balance["held_gpu_seconds"], balance["used_gpu_seconds"], balance["held_tokens"]) == (0, 30, 0)
    invoice = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    assert [(line["kind"], line["meter"], line["amount"]["amount"]) for line in invoice["lines"]] == [
        ("usage", "gpu_seconds", "0.04"),
        ("advance", "gpu_seconds", "-0.04"),
        ("usage", "tokens", "0.02"),
    ]
    report = await api.get("/reports/monthly-cost", month="2026-11")
    assert (report["cost"]["amount"], report["due"]["amount"]) == ("0.06", "0.02")
    async with system.database.transaction(Scope.ALL) as session:
        assert [result for result in await verify_ledger(session) if result.broken] == []
