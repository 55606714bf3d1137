"""What bad input gets: a problem that names the field and the cure, and nothing written."""

import json
from datetime import timedelta
from typing import Any

import httpx2 as httpx
import pytest

from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.bad_input import CASES, ROWS, World
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import (
    CONFIG,
    Api,
    customer_api,
    dispatch,
    make_ready_customer,
    submit_job,
    usage_event,
    worker_api,
)
from tests.broker.rows import read_everything


@pytest.fixture
async def world(api: Api, clock: ManualClock) -> Any:
    customer = await make_ready_customer(api)
    async with customer_api(api, customer.id) as own:
        yield World(api, own, customer, clock)


def check_problem(response: httpx.Response, status: int, field: str | None, *words: str) -> dict[str, Any]:
    """Check that it is a problem of this status whose `errors` name the field, with these words of the cure."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    if field is not None:
        named = {error["field"]: error["message"] for error in problem["errors"]}
        assert field in named, problem
        for word in words:
            assert word in named[field], named[field]
    return problem


@pytest.mark.parametrize("table", CASES)
async def test_bad_input_names_the_field_and_the_cure_and_writes_nothing(
    world: World, urls: DatabaseUrls, system: System, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(system.services.settings, "max_dataset_bytes", 2_000_000)
    before = read_everything(urls)
    files = sorted(system.services.settings.data_dir.rglob("*"))
    faults = []
    for name, (send, status, field, words) in CASES[table].items():
        try:
            check_problem(await send(world), status, field, *words)
        except AssertionError as fault:
            faults.append(f"{name}: {fault}")
        if read_everything(urls) != before:
            faults.append(f"{name}: something was written")
            before = read_everything(urls)
    assert not faults, "\n".join(faults)
    assert sorted(system.services.settings.data_dir.rglob("*")) == files


async def test_address_that_takes_another_method_says_so(world: World) -> None:
    check_problem(await world.api.call("PUT", "/customers"), 405, None)


async def test_body_without_a_length_has_the_same_limit(world: World, urls: DatabaseUrls) -> None:
    async def chunks() -> Any:
        for _ in range(10):
            yield b" " * 1_000_000

    before = read_everything(urls)
    response = await world.api.call(
        "POST", "/customers", content=chunks(), headers={"Content-Type": "application/json"}
    )
    check_problem(response, 413, "body", "smaller")
    assert read_everything(urls) == before


# ── money and time ───────────────────────────────────────────────────────────────────────────────────────────────────


async def refused(api: Api, urls: DatabaseUrls, body: dict[str, Any], status: int, kind: str) -> dict[str, Any]:
    """Submit a job that must be refused so, with nothing written."""
    before = read_everything(urls)
    problem = check_problem(await api.call("POST", "/jobs", json=body), status, None)
    assert problem["type"] == f"/problems/{kind}"
    assert read_everything(urls) == before
    return problem


async def test_job_beyond_the_balance_is_refused(api: Api, urls: DatabaseUrls) -> None:
    """The advance invoice is not paid: the contract has no hours yet."""
    customer = await make_ready_customer(api)
    contract = await api.post(
        "/contracts", {"customer_id": customer.id, "plan": "prepaid", "committed_gpu_hours": 500}, expect=201
    )
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"], "contract_id": contract["id"]}
    async with customer_api(api, customer.id) as own:
        problem = await refused(own, urls, body, 402, "insufficient-balance")
    assert "GPU" in problem["detail"]
    await api.post(f"/invoices/{contract['advance_invoice_id']}/pay")
    async with customer_api(api, customer.id) as own:
        await own.post("/jobs", body, expect=201)


async def test_job_beyond_the_budget_is_refused(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api, monthly_budget="0.01")
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"]}
    async with customer_api(api, customer.id) as own:
        problem = await refused(own, urls, body, 402, "budget-exceeded")
    assert "0.01" in problem["detail"]


async def test_job_dearer_than_its_cap_is_refused(world: World, urls: DatabaseUrls) -> None:
    body = {"config": CONFIG, "dataset_id": world.customer.dataset["id"], "max_cost": "0.000001"}
    problem = await refused(world.own, urls, body, 402, "max-cost-exceeded")
    assert [error["field"] for error in problem["errors"]] == ["max_cost"]


async def test_expired_quote_is_refused_from_its_last_second_on(world: World, urls: DatabaseUrls) -> None:
    dataset = world.customer.dataset["id"]
    made = await world.own.post("/quotes", {"config": CONFIG, "dataset_id": dataset}, expect=201)
    body = {"config": CONFIG, "dataset_id": dataset, "quote_id": made["id"]}
    world.clock.now = START + timedelta(days=1)
    problem = await refused(world.own, urls, body, 409, "quote-expired")
    assert problem["errors"] == [{"field": "quote_id", "message": "expired; ask for a new quote"}]
    world.clock.now -= timedelta(microseconds=1)
    await world.own.post("/jobs", body, expect=201)


async def test_quote_of_another_config_or_data_set_is_refused(world: World, urls: DatabaseUrls) -> None:
    dataset = world.customer.dataset["id"]
    made = await world.own.post("/quotes", {"config": CONFIG, "dataset_id": dataset}, expect=201)
    other = (await world.own.call("POST", "/datasets", files={"files": ("b.jsonl", ROWS)})).json()
    body = {"config": CONFIG, "dataset_id": dataset, "quote_id": made["id"]}
    problem = await refused(world.own, urls, {**body, "config": {**CONFIG, "epochs": 2}}, 409, "quote-mismatch")
    assert problem["errors"][0]["field"] == "config"
    problem = await refused(world.own, urls, {**body, "dataset_id": other["id"]}, 409, "quote-mismatch")
    assert problem["errors"][0]["field"] == "dataset_id"
    job = await world.own.post("/jobs", {**body, "config": {**CONFIG, "lora_rank": 8}}, expect=201)
    assert job["quote_id"] == made["id"], "a default that is written out is the same configuration"


async def test_job_without_a_contract_in_force_is_refused(world: World, urls: DatabaseUrls) -> None:
    body = {"config": CONFIG, "dataset_id": world.customer.dataset["id"]}
    world.clock.now = START - timedelta(days=30)  # before the day from which tests sign
    await refused(world.own, urls, body, 409, "no-contract-in-force")


async def test_key_is_refused_once_it_expires_or_is_revoked(world: World, urls: DatabaseUrls) -> None:
    path = f"/customers/{world.customer.id}/api-keys"
    expiry = (START + timedelta(hours=1)).isoformat()
    short = await world.api.post(path, {"name": "short", "expires_at": expiry}, expect=201)
    lost = await world.api.post(path, {"name": "lost"}, expect=201)
    for key in (short, lost):
        async with Api.connect(world.api.app, key["key"]) as bearer:
            await bearer.get("/jobs")
    world.clock.now = START + timedelta(hours=1)
    await world.api.call("DELETE", f"/api-keys/{lost['id']}", expect=200)
    before = read_everything(urls)
    for key, word in ((short, "expired"), (lost, "revoked")):
        async with Api.connect(world.api.app, key["key"]) as bearer:
            response = await bearer.call("POST", "/projects", json={"name": "late"})
        problem = check_problem(response, 401, None)
        assert word in problem["detail"]
        assert response.headers["www-authenticate"] == "Bearer"
    assert read_everything(urls) == before


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "lbk_x", "Bearer lbk_00000000_unknown", "Bearer \xff\xfe"]
)
async def test_what_is_no_key_is_refused(api: Api, header: str) -> None:
    response = await api.http.get("/v1/jobs", headers={"Authorization": header.encode("latin-1")})
    assert "API key" in check_problem(response, 401, None)["detail"]


async def test_nothing_is_amended_in_a_closed_month(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api, starts_at="2026-09-01T00:00:00+08:00")
    contract_id = customer.contract["id"]
    for month in ("2026-09", "2026-10"):
        drafted = await api.post("/invoices", {"contract_id": contract_id, "month": month}, expect=201)
        await api.post(f"/invoices/{drafted['id']}/finalize")
    before = read_everything(urls)
    path = f"/contracts/{contract_id}/amendments/preview"
    for change in ({"overage": "on_demand"}, {"monthly_budget": "100"}, {"payment_days": 10}, {"billing_day": 15}):
        for moment in ("2026-09-15T00:00:00Z", "2026-10-31T15:59:59Z"):
            response = await api.call("POST", path, json={**change, "effective_at": moment})
            check_problem(response, 422, "effective_at")
    check_problem(await api.call("POST", path, json={"ends_at": "2026-10-15T00:00:00Z"}), 422, "ends_at")
    assert read_everything(urls) == before


# ── what workers send ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_bad_reports_of_a_worker_are_refused(api: Api, system: System, urls: DatabaseUrls) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    run_id = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]["id"]
    good = usage_event(run_id)
    bad: dict[str, tuple[Any, str]] = {
        "sequence beyond int64": ({**good, "data": {**good["data"], "sequence": 2**63}}, "usage.0.data.sequence"),
        "negative tokens": ({**good, "data": {**good["data"], "tokens": -1}}, "usage.0.data.tokens"),
        "year 9999": ({**good, "data": {**good["data"], "ended_at": "9999-12-31T23:59:59Z"}}, "usage.0.data.ended_at"),
        "another run's": (usage_event("run_other"), "usage[0].subject"),
        "NUL in an extension": ({**good, "note": "\0"}, "usage.0.note"),
        "NaN in an extension": ({**good, "note": float("nan")}, "usage.0.note"),
    }
    async with worker_api(api.app, system, run_id) as worker:
        await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1})
        before = read_everything(urls)
        for name, (event, field) in bad.items():
            response = await worker.call(
                "POST",
                f"/runs/{run_id}/heartbeats",
                content=json.dumps({"fence_token": 1, "usage": [event]}),
                headers={"Content-Type": "application/json"},
            )
            assert field in [error["field"] for error in check_problem(response, 422, None)["errors"]], name
            assert read_everything(urls) == before, name
        response = await worker.call("POST", f"/runs/{run_id}/heartbeats", json={"fence_token": 2})
        check_problem(response, 409, None)
        assert read_everything(urls) == before
        await check_numbers_of_uploads(worker, run_id)
        assert read_everything(urls) == before
        await worker.post(f"/runs/{run_id}/heartbeats", {"fence_token": 1, "usage": [good]})


async def check_numbers_of_uploads(worker: Api, run_id: str) -> None:
    """Check that each number beside an upload is bounded: its path, its query, its header."""
    sha256, beyond = "0" * 64, 2**63
    for fence, path, field in (
        (1, f"checkpoints/{beyond}", "step"),
        (1, "checkpoints/-1", "step"),
        (1, f"chunks/{sha256}?offset={beyond}", "offset"),
        (beyond, "checkpoints/1", "X-Fence-Token"),
        (0, "checkpoints/1", "X-Fence-Token"),
        (beyond, f"chunks/{sha256}", "X-Fence-Token"),
        (-beyond, "adapter", "X-Fence-Token"),
    ):
        headers = {"X-Fence-Token": str(fence), "X-Content-SHA256": sha256}
        response = await worker.call("PUT", f"/runs/{run_id}/{path}", content=b"x", headers=headers)
        check_problem(response, 422, field)
    for fence in (0, beyond, 2**53):
        response = await worker.call("POST", f"/runs/{run_id}/heartbeats", json={"fence_token": fence})
        check_problem(response, 422, "fence_token")
