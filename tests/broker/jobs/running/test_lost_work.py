"""A customer pays for progress it can keep: what a run lost by our doing comes back, in hours, money and limits."""

from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs.running.runs import give_back_run, lose_run
from broker.system import System
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import Worker, dispatched_worker

NOVEMBER = "2026-11"


async def submit(api: Api, customer: Customer, **fields: Any) -> str:
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, **fields)
    return str(job["id"])


def measure(worker: Worker, *usage: tuple[int, int], checkpoint_at: int | None = None) -> list[dict[str, Any]]:
    """Measure intervals, the one at the given place ending at the checkpoint of step 5."""
    events = [worker.interval(gpu_seconds, tokens) for gpu_seconds, tokens in usage]
    if checkpoint_at is not None:
        events[checkpoint_at]["data"]["checkpoint_step"] = 5
    return events


async def report_and_keep(worker: Worker) -> None:
    """Report 20 GPU-seconds and 900 tokens up to the checkpoint of step 5, which is uploaded, and 12 and 1042 after."""
    await worker.claim()
    await worker.post("heartbeats", usage=measure(worker, (20, 900), checkpoint_at=0))
    await worker.put("checkpoints/5", b"state")
    await worker.post("heartbeats", usage=measure(worker, (12, 1042)))


async def lose(system: System, worker: Worker) -> None:
    async with system.work() as work:
        await lose_run(work, worker.run_id, "gone")


async def end(system: System, worker: Worker, how: str) -> None:
    """End the run in one of the ways in which runs end by our doing."""
    if how == "machine_lost":
        await lose(system, worker)
    elif how == "shutdown":
        async with system.work() as work:
            await give_back_run(work, worker.run_id)
    elif how == "preempted":
        await worker.finish("preempted")
    else:
        await worker.finish("failed", error={"code": how, "message": "no"})


async def read_books(api: Api, customer: Customer, job_id: str) -> dict[str, Any]:
    job = await api.get(f"/jobs/{job_id}")
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    body = {"contract_id": customer.contract["id"], "month": NOVEMBER}
    invoice = await api.post("/invoices", body, expect=201)
    lines = [(line["meter"], line["quantity"], line["amount"]["amount"]) for line in invoice["lines"]]
    return {
        "used": (balance["used_gpu_seconds"], balance["used_tokens"], balance["used_money"]["amount"]),
        "lines": lines,
        "cost": job["cost"]["amount"],
        "borne": job["borne"]["amount"],
    }


UP_TO_THE_CHECKPOINT = {
    "used": (20, 900, "0.15"),
    "lines": [("gpu_seconds", 20, "0.04"), ("tokens", 900, "0.11")],
    "cost": "0.145778",
    "borne": "0.147707",
}
ALL_OF_IT = {
    "used": (32, 1942, "0.29"),
    "lines": [("gpu_seconds", 32, "0.06"), ("tokens", 1942, "0.23")],
    "cost": "0.293484",
    "borne": "0.00",
}
OUR_ENDS = ["machine_lost", "shutdown", "preempted", "out_of_memory", "internal_error", "broker_refused"]


@pytest.mark.parametrize("how", OUR_ENDS)
async def test_customer_pays_up_to_the_last_checkpoint_where_we_ended_the_run(
    api: Api, app: FastAPI, system: System, how: str
) -> None:
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await report_and_keep(worker)
        await end(system, worker, how)
    assert await read_books(api, customer, job_id) == UP_TO_THE_CHECKPOINT
    events = (await api.get(f"/jobs/{job_id}/events"))["data"]
    (told,) = [event["data"] for event in events if event["kind"] == "lost_work_borne"]
    assert (told["cause"], told["after_step"], told["gpu_seconds"], told["tokens"]) == (how, 5, 12, 1042)
    assert told["explanation"].startswith("12 GPU-seconds and 1,042 tokens after step 5 are on us: ")
    job = await api.get(f"/jobs/{job_id}")
    assert [lost["explanation"] for lost in job["lost_work"]] == [told["explanation"]]
    assert {cause: (each["gpu_seconds"], each["tokens"]) for cause, each in job["borne_by_cause"].items()} == {
        how: (12, 1042)
    }
    assert (job["used_gpu_seconds"], job["charged_gpu_seconds"], job["borne_gpu_seconds"]) == (32, 20, 12)
    assert (job["used_tokens"], job["charged_tokens"], job["borne_tokens"]) == (1942, 900, 1042)
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("stop", ["cancel", "pause", "data"])
async def test_customer_pays_for_all_where_it_ended_the_run(api: Api, app: FastAPI, system: System, stop: str) -> None:
    """A pause writes its checkpoint; then letting the devices go is of the pause, too."""
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        if stop == "pause":
            await worker.claim()
            await api.post(f"/jobs/{job_id}/pause")
            await worker.post("heartbeats", usage=measure(worker, (29, 1942), (3, 0), checkpoint_at=0))
            await worker.put("checkpoints/5", b"state")
            await worker.finish("stopped")
        else:
            await report_and_keep(worker)
            error = {"error": {"code": "bad_input", "message": "no"}} if stop == "data" else {}
            if stop == "cancel":
                await api.post(f"/jobs/{job_id}/cancel")
            await worker.finish("failed" if error else "stopped", **error)
    assert await read_books(api, customer, job_id) == ALL_OF_IT
    assert await broken_rules(system) == {}


async def test_pause_whose_checkpoint_did_not_come_is_on_us(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await report_and_keep(worker)
        await api.post(f"/jobs/{job_id}/pause")
        await worker.finish("stopped")
    assert await read_books(api, customer, job_id) == UP_TO_THE_CHECKPOINT
    events = (await api.get(f"/jobs/{job_id}/events"))["data"]
    assert [event["data"]["cause"] for event in events if event["kind"] == "lost_work_borne"] == ["checkpoint_lost"]
    assert (await api.get(f"/jobs/{job_id}/runs"))["data"][0]["cause"] == "paused"
    assert await broken_rules(system) == {}


async def test_run_without_a_checkpoint_costs_nothing_where_it_was_lost(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=measure(worker, (20, 900), (12, 1042), checkpoint_at=0))
        await lose(system, worker)
    books = await read_books(api, customer, job_id)
    assert books == {"used": (0, 0, "0.00"), "lines": [], "cost": "0.00", "borne": ALL_OF_IT["cost"]}
    assert await broken_rules(system) == {}


async def test_each_run_keeps_its_own_progress(api: Api, app: FastAPI, system: System) -> None:
    """What the first run trained up to its checkpoint stays charged, though the second has none and is lost."""
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await report_and_keep(worker)
        await lose(system, worker)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=measure(worker, (50, 300)))
        await lose(system, worker)
    books = await read_books(api, customer, job_id)
    assert books | {"borne": None} == UP_TO_THE_CHECKPOINT | {"borne": None}
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("succeeded", usage=measure(worker, (12, 1042)))
    books = await read_books(api, customer, job_id)
    assert (books["used"], books["cost"]) == (ALL_OF_IT["used"], ALL_OF_IT["cost"])
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("order", "before_the_end"),
    [((0, 1, 2), 0), ((0, 1, 2), 1), ((0, 2, 1), 2), ((2, 1, 0), 0), ((1, 2, 0), 2), ((2, 0, 1), 1)],
)
async def test_late_usage_follows_the_same_rule_in_whatever_order_it_arrives(
    api: Api, app: FastAPI, system: System, order: Sequence[int], before_the_end: int
) -> None:
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        events = measure(worker, (20, 900), (5, 42), (7, 1000), checkpoint_at=0)
        await worker.put("checkpoints/5", b"state")
        for place in order[:before_the_end]:
            await worker.post("heartbeats", usage=[events[place]])
        await lose(system, worker)
        headers = {"X-Fence-Token": str(worker.fence_token)}
        for place in order[before_the_end:]:
            await worker.api.call("POST", "/usage-events", expect=202, json=[events[place]], headers=headers)
    assert await read_books(api, customer, job_id) == UP_TO_THE_CHECKPOINT
    assert await broken_rules(system) == {}


async def test_hours_of_a_grant_come_back_to_it(api: Api, app: FastAPI, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", monthly_budget="1.00")
    path = f"/contracts/{customer.contract['id']}/balance"
    before = await api.get(path)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=measure(worker, (12, 1042)))
        await lose(system, worker)
    while_it_waits = await api.get(path)
    assert while_it_waits["used_gpu_seconds"] == 0
    await api.post(f"/jobs/{job_id}/cancel")
    assert await api.get(path) | {"as_of": None} == before | {"as_of": None}
    assert await broken_rules(system) == {}


async def test_limit_has_room_again_for_what_is_done_once_more(api: Api, app: FastAPI, system: System) -> None:
    """A job at its limit whose run is lost goes on: what it lost does not count towards what it may cost."""
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer, max_cost="0.06")
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("heartbeats", usage=measure(worker, (30, 10)))
        await lose(system, worker)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        answer = await worker.post("heartbeats", usage=measure(worker, (30, 10)))
    assert (answer["command"], answer["cost_so_far"]["amount"]) == ("continue", "0.057867")
    assert await broken_rules(system) == {}


async def test_checkpoint_that_cannot_be_used_keeps_nothing_and_the_one_before_it_counts(
    api: Api, app: FastAPI, system: System
) -> None:
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await report_and_keep(worker)
        later = measure(worker, (4, 8), (5, 9))
        later[0]["data"]["checkpoint_step"] = 10
        await worker.post("heartbeats", usage=later)
        await worker.put("checkpoints/10", b"torn")
        await lose(system, worker)
    before = await api.get(f"/jobs/{job_id}")
    assert (before["charged_gpu_seconds"], before["charged_tokens"]) == (36, 1950)
    async with dispatched_worker(api, app, system, job_id) as worker:
        assert (await worker.claim())["checkpoint"]["step"] == 10
        error = {"code": "checkpoint_unusable", "message": "it is torn"}
        last, late = measure(worker, (2, 0), (1, 0))
        await worker.finish("failed", error=error, usage=[last])
        headers = {"X-Fence-Token": str(worker.fence_token)}
        await worker.api.call("POST", "/usage-events", expect=202, json=[late], headers=headers)
    job = await api.get(f"/jobs/{job_id}")
    assert (job["charged_gpu_seconds"], job["charged_tokens"]) == (20, 900)
    told = [(lost["cause"], lost["after_step"], lost["gpu_seconds"], lost["tokens"]) for lost in job["lost_work"]]
    assert told == [
        ("machine_lost", 10, 5, 9),
        ("checkpoint_unusable", 5, 16, 1050),
        ("checkpoint_unusable", None, 3, 0),
    ]
    assert [each["step"] for each in (await api.get(f"/jobs/{job_id}/checkpoints"))["data"]] == [5]
    assert await broken_rules(system) == {}


async def test_late_usage_that_is_lost_anyway_is_borne_and_not_left_for_finance_to_decide(
    api: Api, app: FastAPI, system: System
) -> None:
    """The month's budget is gone: what the run keeps is quarantined as over budget, what it lost is the house's."""
    customer = await make_ready_customer(api, monthly_budget="0.05")
    job_id = await submit(api, customer, max_cost="0.05")
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        kept, also_kept, lost = measure(worker, (26, 0), (7, 0), (12, 0), checkpoint_at=1)
        await worker.put("checkpoints/5", b"state")
        await worker.post("heartbeats", usage=[kept])
        await lose(system, worker)
        headers = {"X-Fence-Token": str(worker.fence_token)}
        answer = await worker.api.call("POST", "/usage-events", expect=202, json=[also_kept, lost], headers=headers)
    assert [each["sequence"] for each in answer.json()["quarantined"]] == [1]
    job = await api.get(f"/jobs/{job_id}")
    assert (job["used_gpu_seconds"], job["charged_gpu_seconds"], job["borne_gpu_seconds"]) == (38, 26, 12)
    assert await broken_rules(system) == {}
