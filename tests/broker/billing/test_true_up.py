"""A long-term contract is charged, once, for the hours that it committed to and did not use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.daemon import Daemon
from broker.ledger.service import list_true_up_months
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.http.test_paging import counted
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, start_job

ENDS = datetime(2026, 12, 15, tzinfo=UTC)


async def sign(api: Api) -> Customer:
    return await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000, ends_at=ENDS.isoformat())


async def final(api: Api, contract_id: str, month: str) -> Any:
    draft = await api.post("/invoices", {"contract_id": contract_id, "month": month}, expect=201)
    return await api.post(f"/invoices/{draft['id']}/finalize")


def true_ups(invoice: Any) -> list[tuple[str, str]]:
    lines = [line for line in invoice["lines"] if line["kind"] == "true_up"]
    return [(line["description"], line["amount"]["amount"]) for line in lines]


async def test_unused_hours_are_charged_in_the_month_in_which_the_term_ends(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await sign(api)
    contract_id = customer.contract["id"]
    job = await start_job(system, customer, gpu_seconds=700 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=600 * HOUR)
    clock.now = datetime(2026, 12, 2, tzinfo=UTC)
    assert true_ups(await final(api, contract_id, "2026-11")) == []
    running = await api.post("/invoices", {"contract_id": contract_id, "month": "2026-12"}, expect=201)
    assert true_ups(running) == []
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    last = await final(api, contract_id, "2026-12")
    text = "true-up: 1400.0000 committed GPU-hours not used by the end of 2026-12"
    assert (true_ups(last), last["total"]["amount"]) == ([(text, "5600.00")], "5600.00")
    january = await api.post("/invoices", {"contract_id": contract_id, "month": "2027-01"}, expect=201)
    assert true_ups(january) == []
    # 40 hours of before the end are told a month late: they are billed, and the true-up gives them back.
    await report_usage(system, job, gpu_seconds=40 * HOUR, ended_at=ENDS - timedelta(days=1))
    clock.now = datetime(2027, 2, 2, tzinfo=UTC)
    corrected = await final(api, contract_id, "2027-01")
    text = "true-up corrected: 1360.0000 committed GPU-hours not used by the end of 2026-12"
    assert (true_ups(corrected), corrected["total"]["amount"]) == ([(text, "-160.00")], "0.00")
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("what", ["paid", "written off", "credited"])
async def test_true_up_is_asked_for_once_whatever_became_of_its_invoice(
    api: Api, clock: ManualClock, what: str
) -> None:
    contract_id = (await sign(api)).contract["id"]
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    invoice = await final(api, contract_id, "2026-12")
    if what == "paid":
        await api.post(f"/invoices/{invoice['id']}/pay")
    elif what == "written off":
        body = {"kind": "bad_debt", "invoice_id": invoice["id"], "reason": "bankrupt"}
        await api.post("/adjustments", body, expect=201)
    else:
        lines = [{"position": 1, "amount": "8000.00"}]
        await api.post("/credit-notes", {"invoice_id": invoice["id"], "reason": "goodwill", "lines": lines}, expect=201)
    january = await api.post("/invoices", {"contract_id": contract_id, "month": "2027-01"}, expect=201)
    assert (true_ups(january), january["total"]["amount"]) == ([], "0.00")


async def test_true_up_is_drafted_though_nothing_was_used(api: Api, system: System, clock: ManualClock) -> None:
    customer = await sign(api)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await Daemon(system, agent=None).close_months()
    (draft,) = (await api.get("/invoices", contract_id=customer.contract["id"]))["data"]
    assert (draft["month"], draft["total"]["amount"]) == ("2026-12", "8000.00")


async def test_true_up_that_is_final_is_looked_at_no_more(api: Api, system: System, clock: ManualClock) -> None:
    customer = await sign(api)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    due = [(customer.contract["id"], "2026-12")]
    assert await look_for_true_ups(system) == (due, True)
    await final(api, customer.contract["id"], "2026-12")
    assert await look_for_true_ups(system) == ([], False)


async def look_for_true_ups(system: System) -> tuple[list[tuple[str, str]], bool]:
    """List the true-ups that are due, and whether usage was counted for that."""
    with counted(system) as statements:
        async with system.work() as work:
            due = await list_true_up_months(work)
    return due, any("rate_segments" in str(statement) for statement in statements)


async def test_commitment_that_is_used_up_owes_nothing_and_makes_no_invoice(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await sign(api)
    job = await start_job(system, customer, gpu_seconds=2000 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=2000 * HOUR)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await Daemon(system, agent=None).close_months()
    (draft,) = (await api.get("/invoices", contract_id=customer.contract["id"]))["data"]
    assert (draft["month"], draft["total"]["amount"]) == ("2026-11", "8000.00")


async def test_gifts_do_not_count_towards_a_commitment(api: Api, system: System, clock: ManualClock) -> None:
    customer = await sign(api)
    gift = {"contract_id": customer.contract["id"], "kind": "promotional", "gpu_hours": "100", "reason": "welcome"}
    await api.post("/grants", gift, expect=201)
    job = await start_job(system, customer, gpu_seconds=150 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=150 * HOUR)
    shown = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    assert shown["used_gpu_hours"] == "50.0000"
