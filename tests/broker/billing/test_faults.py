"""Faults of billing that other systems had, each with a test.

Here: double finalization, a void order that is paid at the same moment, a lock that a crash left behind, a month
exported in the wrong zone, a preview that charged the future. Elsewhere: an invoice that is drafted anew while it is
made final (`test_draft_and_finalize_at_once_do_not_block_each_other`), two periodic billings at once
(`test_two_month_closes_at_once_make_one_draft`, `test_two_closers_at_once_close_once`), an order that is paid twice
(`test_advance_that_is_paid_many_times_at_once_credits_once`), rounding (`test_half_a_fen_goes_to_the_even_neighbour`,
`test_money_stateful.py`).
"""

import asyncio
from datetime import UTC, date, datetime

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from broker.billing.service import draft_usage_invoice
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.billing.closing.months import DECEMBER, NOVEMBER, close_november, make_november, read_journal
from tests.broker.billing.invoicing import read_money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import broken_rules, report_usage, start_job


async def test_an_invoice_that_is_made_final_twice_at_once_has_one_number_and_is_booked_once(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, _idle = await make_november(api, system, clock, customers=1)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": NOVEMBER}, expect=201)
    path = f"/invoices/{draft['id']}/finalize"
    answers = await asyncio.gather(*(api.call("POST", path, json={}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert (await api.get(f"/invoices/{draft['id']}"))["number"] == "INV-2026-000001"
    assert (await read_money(system, customer))["receivable"] == draft["total"]["amount"]
    assert await broken_rules(system) == {}


async def test_an_order_that_is_cancelled_while_it_is_paid_is_either_and_never_both(api: Api, system: System) -> None:
    """Paid first, it cannot be cancelled; cancelled first, what came is credit. There are no hours without money."""
    customer = await make_ready_customer(api)
    for _ in range(4):
        order = await api.post("/purchases", {"contract_id": customer.contract["id"], "gpu_hours": "10"}, expect=201)
        await asyncio.gather(
            api.call("POST", f"/purchases/{order['id']}/cancel", json={}),
            api.call("POST", f"/invoices/{order['invoice_id']}/pay", json={}),
        )
        invoice = await api.get(f"/invoices/{order['invoice_id']}")
        grant = await api.get(f"/grants/{order['grant_id']}")
        assert (invoice["status"], grant["status"]) in {("paid", "active"), ("void", "cancelled")}
    assert await broken_rules(system) == {}


async def test_a_lock_that_a_crash_left_behind_is_gone_with_its_connection(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls
) -> None:
    """Whoever is killed in the middle of a draft has no row that says so: the next one has nothing to wait for."""
    customer, _idle = await make_november(api, system, clock, customers=1)
    contract_id = customer.contract["id"]
    with pytest.raises(DBAPIError):
        await die_in_the_middle(system, urls, contract_id)
    assert (await api.get("/invoices"))["data"] == []
    assert await close_november(api, system) == "closed"
    assert await broken_rules(system) == {}


async def die_in_the_middle(system: System, urls: DatabaseUrls, contract_id: str) -> None:
    """Draft an invoice under the contract's lock, and lose the connection before the commit."""
    async with system.work() as work:
        await draft_usage_invoice(work, contract_id, NOVEMBER)
        (own,) = (await work.session.execute(text("SELECT pg_backend_pid()"))).one()
        with psycopg.connect(str(urls.owner), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [own])
        await work.session.execute(text("SELECT 1"))


async def test_a_day_of_booking_is_of_the_houses_calendar_and_not_of_utc(
    api: Api, system: System, clock: ManualClock
) -> None:
    """At half past midnight in Shanghai it is still the day before in UTC: such a payment was in the wrong month."""
    customer = await make_ready_customer(api)
    clock.now = datetime(2026, 11, 30, 16, 30, tzinfo=UTC)
    body = {"kind": "credit", "contract_id": customer.contract["id"], "amount": "5.00", "reason": "goodwill"}
    await api.post("/adjustments", body, expect=201)
    assert await read_journal(system, NOVEMBER) == []
    assert {day for _voucher, day, *_rest in await read_journal(system, DECEMBER)} == {date(2026, 12, 1)}


async def test_a_preview_of_an_hour_ago_never_has_what_comes_later(
    api: Api, system: System, clock: ManualClock
) -> None:
    """A job that runs on is charged for what it used by now: neither its estimate nor its hold is in a preview."""
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, gpu_seconds=36_000)
    await report_usage(system, job, gpu_seconds=3600)
    first, again = [(await api.get("/invoices/upcoming"))["data"][0]["total"]["amount"] for _ in range(2)]
    clock.advance(hours=1)
    later = (await api.get("/invoices/upcoming"))["data"][0]["total"]["amount"]
    assert (first, again, later) == ("6.80", "6.80", "6.80")
