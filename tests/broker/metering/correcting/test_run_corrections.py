"""Corrections of runs' intervals: up or down, in whatever order they come, within evidence and promises; both stay."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs.running.runs import lose_run
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, staff_key
from tests.broker.metering.keeping.test_quarantine import Place, open_place
from tests.broker.running_jobs import broken_rules, read_balance, report_usage, start_job


def correct(run_id: str, sequence: int, event_id: str, at: ManualClock, **data: Any) -> dict[str, Any]:
    own = {"specversion": "1.0", "type": "lora.usage.correction", "id": event_id, "source": f"/runs/{run_id}"}
    told = {"corrects": f"{run_id}/{sequence}", "reason": "the clock of the machine was wrong", **data}
    return own | {"time": at.now.isoformat(), "data": told}


async def send(api: Api, *events: Any, expect: int = 202) -> list[str]:
    answer = (await api.call("POST", "/usage-events", expect=expect, json=list(events))).json()
    return [outcome["status"] for outcome in answer["events"]]


@pytest.fixture
async def place(api: Api, app: FastAPI, system: System, clock: ManualClock) -> AsyncIterator[Place]:
    """Run a job that has reported three intervals of ten seconds and 100 tokens each."""
    async with open_place(api, app, system, clock) as place:
        for sequence in range(3):
            clock.advance(seconds=10)
            await place.beat(place.event(sequence, gpu_seconds=8, tokens=100, seconds=10))
        yield place


async def test_interval_is_corrected_up_and_down_and_both_stay_visible(place: Place, clock: ManualClock) -> None:
    run_id = place.worker.run_id
    clock.advance(seconds=60)
    up = correct(run_id, 1, "c1", clock, gpu_seconds=10)
    assert await send(place.api, up, up) == ["accepted", "duplicate"]
    assert await place.used() == (26, 300)
    clock.advance(seconds=60)
    assert await send(place.api, correct(run_id, 1, "c2", clock, gpu_seconds=0, tokens=150)) == ["accepted"]
    assert await place.used() == (16, 350)
    page = await place.api.get(f"/jobs/{place.job_id}/usage", limit=2)
    rest = await place.api.get(f"/jobs/{place.job_id}/usage", cursor=page["next_cursor"])
    listed = [*page["data"], *rest["data"]]
    shown = [(each["sequence"], each["corrects"], each["gpu_seconds"], each["tokens"]) for each in listed]
    name = f"{run_id}/1"
    assert shown == [(0, None, 8, 100), (1, None, 8, 100), (1, name, 2, 0), (1, name, -10, 50), (2, None, 8, 100)]
    events = (await place.api.get(f"/jobs/{place.job_id}/events"))["data"]
    noted = [each["data"] for each in events if each["kind"] == "usage_corrected"]
    assert [(each["sequence"], each["gpu_seconds"], each["tokens"]) for each in noted] == [(1, 2, 0), (1, -10, 50)]
    clock.advance(seconds=10)
    await place.finish(place.event(3), outcome="failed")
    assert await place.used() == (18, 450)


async def test_corrections_in_any_order_charge_the_same(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """Of several the latest counts, not the last to come; each meter for itself."""
    job = await start_job(system, await make_ready_customer(api))
    for _ in range(6):
        await report_usage(system, job, gpu_seconds=60, tokens=100)
    clock.advance(minutes=30)
    for sequence, order in enumerate(
        permutations([("a", {"tokens": 7}), ("b", {"gpu_seconds": 90}), ("c", {"tokens": 9})])
    ):
        for name, said in order:
            event = correct(job.run_id, sequence, f"{sequence}-{name}", clock, **said)
            later = clock.now + timedelta(seconds="abc".index(name))
            assert await send(api, event | {"time": later.isoformat()}) == ["accepted"]
    balance = await read_balance(system, job.contract_id)
    assert (balance.used_gpu_seconds, balance.used_tokens) == (6 * 90, 6 * 9)
    assert await broken_rules(system) == {}


async def test_correction_has_the_bounds_of_evidence(place: Place, clock: ManualClock) -> None:
    clock.advance(seconds=1)
    run_id, far = place.worker.run_id, (clock.now + timedelta(hours=1)).isoformat()
    early = (clock.now - timedelta(hours=1)).isoformat()
    wrong = {
        "data.gpu_seconds": correct(run_id, 1, "x", clock, gpu_seconds=1000),
        "data.tokens": correct(run_id, 1, "x", clock, tokens=10**9),
        "time": correct(run_id, 1, "x", clock, tokens=1) | {"time": far},
        "data.quantity": correct(run_id, 1, "x", clock, tokens=1, quantity=1),
        "data.corrects": correct(run_id, 9, "x", clock, tokens=1),
        "id": correct(run_id, 1, f"{run_id}/9", clock, tokens=1),
    }
    for field, event in wrong.items():
        problem = (await place.api.call("POST", "/usage-events", expect=422, json=event)).json()
        assert [fault["field"] for fault in problem["errors"]] == [field], problem
    for event in (correct(run_id, 1, "x", clock, tokens=1) | {"time": early}, correct(run_id, 1, "x", clock)):
        await place.api.call("POST", "/usage-events", expect=422, json=event)
    async with Api.connect(place.app, await staff_key(place.api, "meter")) as meter:
        problem = (await meter.call("POST", "/usage-events", expect=422, json=wrong["id"])).json()
        assert problem["errors"][0]["field"] == "source"
    assert await place.used() == (24, 300)
    assert await send(place.api, correct(run_id, 1, "x", clock, tokens=1)) == ["accepted"]


async def test_what_a_correction_adds_above_a_promise_is_borne(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, monthly_budget="6.80")
    job = await start_job(system, customer, gpu_seconds=3000, tokens=0)
    await report_usage(system, job, gpu_seconds=3000)
    clock.advance(minutes=1)
    assert await send(api, correct(job.run_id, 0, "c", clock, gpu_seconds=4000)) == ["accepted"]
    shown = await api.get(f"/jobs/{job.id}")
    assert (shown["charged_gpu_seconds"], shown["borne_gpu_seconds"]) == (3600, 400)
    assert shown["stop_requested"] == "budget"
    assert await broken_rules(system) == {}


async def test_correction_in_a_closed_month_is_on_the_next_invoice(
    api: Api, system: System, clock: ManualClock
) -> None:
    jobs = []
    customer = await make_ready_customer(api)
    for _ in range(2):
        job = await start_job(system, customer)
        await report_usage(system, job, gpu_seconds=3600)
        jobs.append(job)
    place = {"contract_id": customer.contract["id"]}
    draft = await api.post("/invoices", {**place, "month": "2026-11"}, expect=201)
    clock.advance(days=25)
    await api.post(f"/invoices/{draft['id']}/finalize")
    up, down = (
        correct(job.run_id, 0, job.id, clock, gpu_seconds=more) for job, more in zip(jobs, (7200, 1800), strict=True)
    )
    assert await send(api, down, up) == ["accepted"] * 2
    assert (await api.get(f"/invoices/{draft['id']}"))["total"]["amount"] == "13.60"
    following = await api.post("/invoices", {**place, "month": "2026-12"}, expect=201)
    assert following["total"]["amount"] == "3.40"
    assert await broken_rules(system) == {}


async def test_lost_work_is_told_as_it_is_borne_after_any_order_of_loss_and_corrections(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """The sentence on the job, what its captures bear and the margin report agree, whatever came first."""
    customer = await make_ready_customer(api)
    told = []
    for number, order in enumerate(permutations(["lose", "down", "up", "none"])):
        job = await start_job(system, customer, gpu_seconds=600, tokens=1000)
        for _ in range(2):
            await report_usage(system, job, gpu_seconds=60, tokens=100)
        clock.advance(minutes=5)
        for step in order:
            if step == "lose":
                async with system.work() as work:
                    await lose_run(work, job.run_id, "its machine is gone")
                continue
            said = {"down": (1, 40, 90), "up": (0, 70, 100), "none": (1, 0, 0)}[step]
            clock.advance(seconds=1)
            data = {"gpu_seconds": said[1], "tokens": said[2]}
            event = correct(job.run_id, said[0], f"{number}-{step}", clock, **data)
            assert await send(api, event) == ["accepted"]
        shown = await api.get(f"/jobs/{job.id}")
        [lost], [borne] = shown["lost_work"], shown["borne_by_cause"].values()
        assert (lost["gpu_seconds"], lost["tokens"]) == (borne["gpu_seconds"], borne["tokens"])
        told.append((order.index("down") < order.index("none"), lost["gpu_seconds"], lost["tokens"]))
        assert shown["charged_gpu_seconds"] == 0
    # Of two corrections of one interval that which was said last counts.
    assert set(told) == {(True, 70, 100), (False, 110, 190)}
    margin = await api.get("/reports/margin", month="2026-11")
    hours, tokens = sum(each[1] for each in told), sum(each[2] for each in told)
    assert margin["borne"]["amount"] == f"{round(hours * 6.8 / 3600, 2) + round(tokens * 0.00012, 2):.2f}"
    assert await broken_rules(system) == {}


async def test_lost_work_that_was_not_used_at_all_is_told_no_more(api: Api, system: System, clock: ManualClock) -> None:
    job = await start_job(system, await make_ready_customer(api), gpu_seconds=600, tokens=0)
    await report_usage(system, job, gpu_seconds=60)
    async with system.work() as work:
        await lose_run(work, job.run_id, "its machine is gone")
    clock.advance(minutes=1)
    assert await send(api, correct(job.run_id, 0, "c", clock, gpu_seconds=0)) == ["accepted"]
    shown = await api.get(f"/jobs/{job.id}")
    assert (shown["lost_work"], shown["borne_by_cause"], shown["borne_gpu_seconds"]) == ([], {}, 0)
    kinds = [event["kind"] for event in (await api.get(f"/jobs/{job.id}/events"))["data"]]
    assert "lost_work_corrected" in kinds
    assert await broken_rules(system) == {}
