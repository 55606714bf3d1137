"""Rules of retention over the API: shown, tried, set, recorded, and held by the next sweep."""

from typing import Any

import pytest
from fastapi import FastAPI

from broker.retention.service import sweep
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, staff_key, submit_job
from tests.broker.tenants import put_bytes
from tests.broker.worker_calls import dispatched_worker


def by_name(retention: dict[str, Any]) -> dict[str, Any]:
    return {rule["name"]: rule for rule in retention["rules"]}


def by_kind(told: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    return {each["kind"]: (each["count"], each["size_bytes"]) for each in told if each["count"]}


async def test_rule_is_tried_then_set_then_held_and_on_record(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        for step in (1, 2, 3):
            await put_bytes(worker.api, f"/runs/{worker.run_id}/checkpoints/{step}", b"x" * 100)
    async with Api.connect(app, await staff_key(api, "ops")) as ops:
        assert by_kind((await ops.post("/retention/preview", {}))["removed"]) == {}
        tried = await ops.post("/retention/preview", {"kept_checkpoints": 1})
        assert by_kind(tried["removed"]) == {"checkpoints": (2, 200)}
        await sweep(system)
        assert len((await api.get(f"/jobs/{job_id}/checkpoints"))["data"]) == 3, "a preview removes nothing"
        changed = await ops.call("PATCH", "/retention", json={"kept_checkpoints": 1}, expect=200)
        rule = by_name(changed.json())["kept_checkpoints"]
        assert (rule["value"], rule["setting"], rule["changed_by"] is not None) == (1, 3, True)
        await sweep(system)
        assert [each["step"] for each in (await api.get(f"/jobs/{job_id}/checkpoints"))["data"]] == [3]
        assert by_kind((await ops.get("/retention"))["swept"]).keys() == {"checkpoints", "files"}
        back = await ops.call("PATCH", "/retention", json={"kept_checkpoints": None}, expect=200)
        assert by_name(back.json())["kept_checkpoints"]["changed_by"] is None
    recorded = (await api.get("/audit", action="change_retention"))["data"]
    assert [entry["sent"] for entry in recorded] == [{"kept_checkpoints": None}, {"kept_checkpoints": 1}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kept_checkpoints": 0}, "kept_checkpoints"),
        ({"ended_job_days": -1}, "ended_job_days"),
        (
            {"orphan_hours": 0},
            "orphan_hours",
        ),  # what is received has no row yet
        ({"recorded_cycle_mib": 1}, "recorded_cycle_mib"),
        ({"keep_everything": 1}, "keep_everything"),
        ({}, ""),
    ],
)
async def test_rule_that_is_none_is_refused_at_its_name(api: Api, body: dict[str, Any], field: str) -> None:
    problem = (await api.call("PATCH", "/retention", json=body, expect=422)).json()
    assert problem["errors"][0]["field"] == (field or "body")
