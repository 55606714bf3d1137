"""What happens at once, by heart, or after a crash: no state is stale, no payment lost, no job left behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from broker.arrears import deletion, sweep
from broker.arrears.service import list_to_refresh, refresh
from broker.contracts import service as contracts
from broker.jobs.running.arrears import list_jobs_in_arrears, list_jobs_to_resume
from broker.ledger import service as ledger
from broker.system import System
from pricing.money import Money
from tests.broker.arrears.debtors import FIRST_DAY, Debtor, bring_to, make_debtor, read_state, submit
from tests.broker.conftest import ManualClock
from tests.broker.databases import LentDatabase
from tests.broker.factories import Api, customer_api, dispatch
from tests.broker.payments.receipts import import_lines, line
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import broken_rules, report_usage, start_job
from tests.broker.worker_calls import dispatched_worker, stop_at_a_checkpoint


async def read_job(api: Api, job_id: str) -> tuple[str, str | None]:
    job = await api.get(f"/jobs/{job_id}")
    return job["status"], job["pause_reason"]


async def test_what_is_decided_by_heart_knows_of_the_arrears(api: Api, system: System, clock: ManualClock) -> None:
    """The state is a part of the version of the reserves: what a process remembers is refused, and read anew."""
    debtor = await make_debtor(api, system, clock)
    async with customer_api(api, debtor.id) as own:
        for _warm in range(3):
            await submit(own, debtor.on_credit)
        remembered = api.app.state.submissions.remembered.contracts
        before = remembered[debtor.on_credit.contract["id"]].books.version
        clock.now = FIRST_DAY
        await sweep.sweep_states(system)
        await submit(own, debtor.on_credit, expect=402)
        await api.post(f"/invoices/{debtor.invoices[0]['id']}/pay")
        await submit(own, debtor.on_credit)
        assert remembered[debtor.on_credit.contract["id"]].books.version != before


async def test_queued_job_of_a_suspended_contract_is_not_started(api: Api, system: System, clock: ManualClock) -> None:
    """Neither by a cycle that comes before the sweep, nor after it; one within paid grants is."""
    debtor = await make_debtor(api, system, clock)
    waiting = [(await submit(api, each))["id"] for each in (debtor.on_credit, debtor.paid)]
    clock.now = FIRST_DAY + timedelta(days=2)
    await sweep.sweep_states(system)
    await dispatch(system, gpus=8)
    stands = [await read_job(api, job_id) for job_id in waiting]
    assert stands == [("paused", "arrears"), ("dispatched", None)]


async def test_payment_that_comes_while_jobs_are_paused_leaves_none_behind(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    waiting = [(await submit(api, debtor.on_credit))["id"] for _each in range(4)]
    await bring_to_suspended_unswept(system, clock)
    paying = api.post(f"/invoices/{debtor.invoices[0]['id']}/pay")
    paid, *_swept = await asyncio.gather(paying, sweep.sweep_jobs(system), sweep.sweep_jobs(system))
    assert paid["status"] == "paid"
    await sweep.sweep(system)
    assert await read_state(api, debtor.on_credit) == "current"
    assert {await read_job(api, job_id) for job_id in waiting} == {("queued", None)}
    assert await broken_rules(system) == {}


async def bring_to_suspended_unswept(system: System, clock: ManualClock) -> None:
    """Have states decided, and no job paused for them yet."""
    clock.now = FIRST_DAY + timedelta(days=2)
    await sweep.sweep_states(system)


async def test_sweep_that_was_killed_is_finished_by_the_next(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between states and jobs, among the jobs, and among what is deleted."""
    debtor = await make_debtor(api, system, clock)
    waiting = [(await submit(api, debtor.on_credit))["id"] for _each in range(3)]
    await bring_to_suspended_unswept(system, clock)  # killed here, before the first job
    async with system.work() as work:
        (first, *_others) = await list_jobs_in_arrears(work)
        await sweep.stop_in_arrears(work, first)
    await sweep.sweep(system)
    assert {await read_job(api, job_id) for job_id in waiting} == {("paused", "arrears")}
    await bring_to(system, clock, "retention")
    killed = asyncio.CancelledError()

    async def die(*_told: Any) -> None:
        raise killed

    clock.now = FIRST_DAY + timedelta(days=10)
    with monkeypatch.context() as patched:
        patched.setattr(deletion, "_delete_dataset", die)
        with pytest.raises(asyncio.CancelledError):
            await sweep.sweep(system)
    await api.get(f"/datasets/{debtor.paid.dataset['id']}")
    await sweep.sweep(system)
    await api.get(f"/datasets/{debtor.paid.dataset['id']}", expect=404)
    assert {await read_job(api, job_id) for job_id in waiting} == {("cancelled", None)}
    rows = [
        row
        for each in (debtor.on_credit, debtor.paid)
        for row in (await api.get(f"/contracts/{each.contract['id']}/arrears/deletions"))["data"]
    ]
    assert [row["kind"] for row in rows] == ["dataset"]


async def test_a_day_begins_at_the_contract_s_own_midnight(api: Api, system: System, clock: ManualClock) -> None:
    """Due on the 1st of December in Shanghai, it is overdue from the 2nd there: 16:00 UTC of the 1st."""
    debtor = await make_debtor(api, system, clock)
    midnight = datetime(2026, 12, 1, 16, tzinfo=UTC)
    for moment, state in ((midnight - timedelta(seconds=1), "current"), (midnight, "grace")):
        clock.now = moment
        await sweep.sweep(system)
        assert await read_state(api, debtor.on_credit) == state


async def test_two_sweeps_at_once_tell_a_change_once(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    clock.now = FIRST_DAY
    await asyncio.gather(*(sweep.sweep(system) for _process in range(3)))
    shown = await api.get(f"/contracts/{debtor.on_credit.contract['id']}/arrears")
    assert [(each["before"], each["after"]) for each in shown["history"]] == [("current", "grace")]
    events = await api.get(f"/contracts/{debtor.on_credit.contract['id']}/events", kind="arrears_changed")
    assert len(events["data"]) == 1
    async with system.work() as work:
        assert await list_to_refresh(work) == []


async def test_running_job_stops_where_its_paid_grant_ends(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """In `suspended` a job goes on within paid hours, and not one GPU-second is begun beyond them."""
    debtor = await make_debtor(api, system, clock)
    job = await start_job(system, debtor.paid, gpu_seconds=499 * 3600, tokens=0)
    await bring_to(system, clock, "suspended")
    await report_usage(system, job, gpu_seconds=498 * 3600)
    assert (await api.get(f"/jobs/{job.id}"))["stop_requested"] is None
    await report_usage(system, job, gpu_seconds=3600)
    assert (await api.get(f"/jobs/{job.id}"))["stop_requested"] == "arrears"


async def test_job_that_its_customer_pauses_stays_paused_once_the_arrears_are_settled(
    api: Api, app: FastAPI, system: System, clock: ManualClock
) -> None:
    """Its run has not stopped yet when the contract is suspended."""
    debtor = await make_debtor(api, system, clock)
    job_id = (await submit(api, debtor.on_credit))["id"]
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(1)
        await api.post(f"/jobs/{job_id}/pause")
        await bring_to(system, clock, "suspended")
        assert (await worker.beat(2))["reason"] == "pause"
        await stop_at_a_checkpoint(worker)
    await api.post(f"/invoices/{debtor.invoices[0]['id']}/pay")
    await sweep.sweep(system)
    assert await read_job(api, job_id) == ("paused", "pause")


async def test_job_that_cannot_go_on_after_all_is_paused_for_that(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    job_id = (await submit(api, debtor.on_credit))["id"]
    await bring_to(system, clock, "suspended")
    async with system.work() as work:
        row = await work.session.get_one(contracts.Contract, debtor.on_credit.contract["id"])
        row.ends_at = work.now
    await api.post(f"/invoices/{debtor.invoices[0]['id']}/pay")
    await sweep.sweep(system)
    assert await read_job(api, job_id) == ("paused", "contract_ended")
    kinds = [event["kind"] for event in (await api.get(f"/jobs/{job_id}/events"))["data"]]
    assert kinds[-1] == "not_resumed"
    async with system.work() as work:
        assert await list_jobs_to_resume(work) == []


async def test_money_settles_what_is_overdue_first(api: Api, system: System, clock: ManualClock) -> None:
    """A payment for an order, and credit that comes otherwise."""
    debtor = await make_debtor(api, system, clock)
    order = await api.post("/purchases", {"contract_id": debtor.on_credit.contract["id"], "gpu_hours": 10}, expect=201)
    await bring_to(system, clock, "grace")
    shown = await api.post(f"/invoices/{order['invoice_id']}/pay")
    overdue = await api.get(f"/invoices/{debtor.invoices[0]['id']}")
    assert (overdue["status"], shown["status"]) == ("paid", "open")
    assert await read_state(api, debtor.on_credit) == "current"
    other = debtor.invoices[1]
    credit = {"kind": "credit", "contract_id": debtor.paid.contract["id"], "amount": other["due"]["amount"]}
    await api.post("/adjustments", credit | {"reason": "Topped up"}, expect=201)
    await sweep.sweep(system)
    assert (await api.get(f"/invoices/{other['id']}"))["status"] == "paid"
    assert await read_state(api, debtor.paid) == "current"
    assert await broken_rules(system) == {}


async def test_transfer_that_finance_imports_ends_the_arrears_at_once(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    await bring_to(system, clock, "suspended")
    invoice = debtor.invoices[0]
    transfer = line(invoice["due"]["amount"], invoice["payment_reference"], value_on="2026-12-03")
    await import_lines(api, transfer)
    assert await read_state(api, debtor.on_credit) == "current"
    await submit(api, debtor.on_credit)


async def test_what_is_disputed_puts_nobody_into_arrears(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    invoice = debtor.invoices[0]
    asking = [each for each in invoice["lines"] if each["amount"]["amount"] not in {"0.00", "0"}]
    for each in asking:
        dispute = {"invoice_id": invoice["id"], "position": each["position"], "reason": "Not ours"}
        await api.post("/disputes", dispute, expect=201)
    await bring_to(system, clock, "suspended")
    assert await read_state(api, debtor.on_credit) == "current"
    assert await read_state(api, debtor.paid) == "suspended"


async def test_time_that_finance_gives_puts_it_back_to_grace(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    place = f"/contracts/{debtor.on_credit.contract['id']}/arrears"
    asked = {"until": "2026-12-08", "kind": "promise_to_pay", "reason": "Promised by phone"}
    await api.post(f"{place}/extensions", asked, expect=409)
    await bring_to(system, clock, "suspended")
    for wrong in ("2026-12-01", "2029-01-01"):
        problem = await api.post(f"{place}/extensions", asked | {"until": wrong}, expect=422)
        assert [each["field"] for each in problem["errors"]] == ["until"]
    given = await api.post(f"{place}/extensions", asked, expect=201)
    assert (given["state"], given["until"]) == ("grace", "2026-12-09")
    audit = (await api.get("/audit", object_id=debtor.on_credit.contract["id"]))["data"][0]
    assert (audit["action"], audit["sent"]["reason"]) == ("extend_arrears", "Promised by phone")
    clock.now = FIRST_DAY + timedelta(days=7)
    await sweep.sweep(system)
    assert await read_state(api, debtor.on_credit) == "suspended"


async def test_time_that_was_given_is_shortened_with_a_reason(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    place = f"/contracts/{debtor.on_credit.contract['id']}/arrears"
    await bring_to(system, clock, "suspended")
    cut = {"until": "2026-12-04", "kind": "shortened", "reason": "The promise was broken"}
    problem = await api.post(f"{place}/extensions", cut, expect=422)
    assert [each["field"] for each in problem["errors"]] == ["kind"], "nothing was given"
    given = {"until": "2026-12-08", "kind": "promise_to_pay", "reason": "Promised by phone"}
    await api.post(f"{place}/extensions", given, expect=201)
    problem = await api.post(f"{place}/extensions", cut | {"until": "2026-12-08"}, expect=422)
    assert [each["field"] for each in problem["errors"]] == ["until"], "that is no earlier day"
    shown = await api.post(f"{place}/extensions", cut, expect=201)
    assert (shown["state"], shown["until"]) == ("grace", "2026-12-05")
    assert {each["kind"] for each in shown["extensions"]} == {"promise_to_pay", "shortened"}
    audit = (await api.get("/audit", object_id=debtor.on_credit.contract["id"]))["data"][0]
    assert audit["sent"]["reason"] == "The promise was broken"


async def test_money_below_zero_is_arrears_without_any_invoice(
    api: Api, system: System, clock: ManualClock, started: LentDatabase
) -> None:
    """Where an account of credit may be overdrawn at all: more was taken back than was there."""
    debtor: Debtor = await make_debtor(api, system, clock)
    for invoice in debtor.invoices:
        await api.post(f"/invoices/{invoice['id']}/pay")
    contract_id = debtor.on_credit.contract["id"]
    credit = {"kind": "credit", "contract_id": contract_id, "amount": "1.00", "reason": "Test"}
    await api.post("/adjustments", credit, expect=201)
    with owner_connection(started.urls) as connection:
        connection.execute("UPDATE ledger_accounts SET may_go_positive = true WHERE kind = 'customer_credit'")
    async with system.work() as work:
        terms = await contracts.lock_contract(work, contract_id)
        await ledger.book_goodwill(work, terms, Money.from_decimal(-6), reference="taken back")
        assert (await refresh(work, contract_id)).state == "grace"
    shown = await api.get(f"/contracts/{contract_id}/arrears")
    assert [debt["kind"] for debt in shown["debts"]] == ["balance_below_zero"]
    assert shown["owed"]["amount"] == "5.00"
