"""Each cell of the table through REST: submit, running jobs, purchase on credit, payment, download, data."""

from datetime import timedelta

import pytest
from fastapi import FastAPI

from broker.arrears.sweep import sweep
from broker.contracts import service as contracts
from broker.system import System
from tests.broker.arrears.debtors import DAY_OF, FIRST_DAY, Debtor, bring_to, make_debtor, read_state, submit
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, upload_dataset
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import dispatched_worker, stop_at_a_checkpoint, worker_of

# By state: submit on credit, submit within paid grants, run on credit, run within paid, buy, download, data set.
CELLS = {
    "current": (201, 201, "running", "running", 201, 200, 200),
    "grace": (402, 201, "running", "running", 402, 200, 200),
    "suspended": (402, 201, "paused", "running", 402, 200, 200),
    "retention": (402, 402, "paused", "paused", 402, 200, 200),
    "closed": (402, 402, "cancelled", "cancelled", 402, 404, 404),
}


async def stop_where_told(api: Api, app: FastAPI, system: System, job_id: str) -> str:
    """Let the worker of a job beat, and stop at a checkpoint where it is told to; returns how its job stands then."""
    job = await api.get(f"/jobs/{job_id}")
    if job["status"] == "running":
        async with worker_of(api, app, system, job_id) as worker:
            told = await worker.beat(1)
            if told["command"] == "stop":
                if told["reason"] == "cancel":
                    await worker.finish("stopped")
                else:
                    assert told["reason"] == "arrears"
                    await stop_at_a_checkpoint(worker)
        job = await api.get(f"/jobs/{job_id}")
    if job["status"] == "paused":
        assert job["pause_reason"] == "arrears"
    return str(job["status"])


async def finish_one(api: Api, app: FastAPI, system: System, customer: Customer) -> str:
    """Let a job succeed; returns the id of its adapter."""
    job = await submit(api, customer)
    async with dispatched_worker(api, app, system, job["id"]) as worker:
        await worker.claim()
        await worker.beat(1)
        await worker.finish("succeeded")
    return str((await api.get(f"/jobs/{job['id']}"))["adapter_id"])


async def start_both(api: Api, app: FastAPI, system: System, debtor: Debtor) -> list[str]:
    jobs = [await submit(api, each) for each in (debtor.on_credit, debtor.paid)]
    for job in jobs:
        async with dispatched_worker(api, app, system, job["id"]) as worker:
            await worker.claim()
            await worker.beat(1)
    return [job["id"] for job in jobs]


@pytest.mark.parametrize("state", CELLS)
async def test_each_cell_through_rest(api: Api, app: FastAPI, system: System, clock: ManualClock, state: str) -> None:
    debtor = await make_debtor(api, system, clock)
    adapter_id = await finish_one(api, app, system, debtor.on_credit)
    jobs = await start_both(api, app, system, debtor)
    await bring_to(system, clock, state)
    assert [await read_state(api, each) for each in (debtor.on_credit, debtor.paid)] == [state, state]

    on_credit, within, runs_on_credit, runs_within, buys, downloads, data = CELLS[state]
    stands = [await stop_where_told(api, app, system, job_id) for job_id in jobs]
    assert stands == [runs_on_credit, runs_within]
    await sweep(system)
    await api.get(f"/datasets/{debtor.paid.dataset['id']}", expect=data)
    if data == 404:
        debtor.on_credit.dataset = debtor.paid.dataset = await upload_dataset(api, debtor.id)
    await submit(api, debtor.on_credit, expect=on_credit)
    await submit(api, debtor.paid, expect=within)
    order = {"contract_id": debtor.on_credit.contract["id"], "gpu_hours": 10}
    await api.post("/purchases", order, expect=buys)
    await api.call("GET", f"/adapters/{adapter_id}/download", expect=downloads)

    paid = await api.post(f"/invoices/{debtor.invoices[0]['id']}/pay")
    assert paid["status"] == "paid"
    after = "closed" if state == "closed" else "current"
    assert await read_state(api, debtor.on_credit) == after
    await submit(api, debtor.on_credit, expect=402 if after == "closed" else 201)
    await sweep(system)
    back = {"paused": "queued"}.get(runs_on_credit, runs_on_credit)
    assert (await api.get(f"/jobs/{jobs[0]}"))["status"] == back
    assert await broken_rules(system) == {}


async def test_a_refusal_tells_what_is_owed_and_how_to_pay_in_both_languages(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    await bring_to(system, clock, "grace")
    problem = await submit(api, debtor.on_credit, expect=402)
    due = debtor.invoices[0]["due"]["amount"]
    assert (problem["state"], problem["owed"]) == ("grace", due)
    assert f"{due} is overdue" in problem["detail"]
    assert f"已欠费 {due} 元（宽限期）" in problem["detail"]


async def test_closed_contract_keeps_invoices_and_a_record_of_what_was_deleted(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    adapter_id = await finish_one(api, app, system, debtor.on_credit)
    await bring_to(system, clock, "retention")
    announced = await api.get(f"/contracts/{debtor.on_credit.contract['id']}/arrears")
    assert announced["deletion_on"] == announced["until"] == "2026-12-12"
    await api.call("GET", f"/adapters/{adapter_id}/download", expect=200)
    await bring_to(system, clock, "closed")
    places = [f"/contracts/{each.contract['id']}/arrears/deletions" for each in (debtor.on_credit, debtor.paid)]
    rows = [row for place in places for row in (await api.get(place))["data"]]
    deleted = {(row["kind"], row["object_id"]) for row in rows}
    assert {row["announced_on"] for row in rows} == {"2026-12-12"}
    assert deleted == {("adapter", adapter_id), ("dataset", debtor.paid.dataset["id"])}
    assert (await api.get(f"/invoices/{debtor.invoices[0]['id']}"))["status"] == "open"
    await api.call("GET", f"/invoices/{debtor.invoices[0]['id']}/evidence", expect=200)


async def test_data_stays_until_the_day_of_the_last_contract_in_arrears_that_is_over(
    api: Api, system: System, clock: ManualClock
) -> None:
    """The contract that ends first does not take away what another one still promises to keep."""
    debtor = await make_debtor(api, system, clock)
    await bring_to(system, clock, "retention")
    later = {"until": "2026-12-31", "reason": "Promised by phone"}
    await api.post(f"/contracts/{debtor.paid.contract['id']}/arrears/extensions", later, expect=201)
    async with system.work() as work:
        row = await work.session.get_one(contracts.Contract, debtor.paid.contract["id"])
        row.ends_at = work.now
    clock.now = FIRST_DAY + timedelta(days=DAY_OF["closed"])
    for _again in range(2):
        await sweep(system)
    assert [await read_state(api, each) for each in (debtor.on_credit, debtor.paid)] == ["closed", "grace"]
    await api.get(f"/datasets/{debtor.paid.dataset['id']}")
