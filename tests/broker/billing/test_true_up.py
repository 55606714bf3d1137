"""A long-term contract is charged, once, for the hours that it committed to and did not use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.daemon.sweeps import Sweeps
from broker.ledger.service import list_true_up_months
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, amend_contract, make_customer, make_ready_customer, sign_contract
from tests.broker.http.test_paging import counted
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, start_job

ENDS = datetime(2026, 12, 15, tzinfo=UTC)


async def sign(api: Api) -> Customer:
    return await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000, ends_at=ENDS.isoformat())


async def final(api: Api, contract_id: str, month: str) -> Any:
    draft = await api.post("/invoices", {"contract_id": contract_id, "month": month}, expect=201)
    return await api.post(f"/invoices/{draft['id']}/finalize")


async def give_up(api: Api, invoice_id: str, what: str) -> None:
    if what == "written off":
        body = {"kind": "bad_debt", "invoice_id": invoice_id, "reason": "bankrupt"}
        await api.post("/adjustments", body, expect=201)
        return
    lines = [{"position": 1, "amount": "8000.00"}]
    await api.post("/credit-notes", {"invoice_id": invoice_id, "reason": "goodwill", "lines": lines}, expect=201)


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
    else:
        await give_up(api, invoice["id"], what)
    january = await api.post("/invoices", {"contract_id": contract_id, "month": "2027-01"}, expect=201)
    assert (true_ups(january), january["total"]["amount"]) == ([], "0.00")


@pytest.mark.parametrize("what", ["written off", "credited"])
async def test_hours_that_are_told_after_their_true_up_was_given_up_are_paid(
    api: Api, system: System, clock: ManualClock, what: str
) -> None:
    """The correction gave back once more what the note had taken back: 40 hours were used for nothing.

    What was written off came back as if it had been paid.
    """
    customer = await sign(api)
    job = await start_job(system, customer, gpu_seconds=100 * HOUR, tokens=0)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    invoice = await final(api, customer.contract["id"], "2026-12")
    await give_up(api, invoice["id"], what)
    await report_usage(system, job, gpu_seconds=40 * HOUR, ended_at=ENDS - timedelta(days=1))
    clock.now = datetime(2027, 2, 2, tzinfo=UTC)
    january = await final(api, customer.contract["id"], "2027-01")
    assert (true_ups(january), january["total"]["amount"]) == ([], "160.00")
    assert await broken_rules(system) == {}


async def test_true_up_is_drafted_though_nothing_was_used(api: Api, system: System, clock: ManualClock) -> None:
    customer = await sign(api)
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await Sweeps(system).close_months()
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
    await Sweeps(system).close_months()
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


YEARLY = {"plan": "long_term", "committed_gpu_hours": 4000, "true_up": "yearly", "time_zone": "UTC"}
TWO_YEARS = {"starts_at": "2026-11-01T00:00:00Z", "ends_at": "2028-11-01T00:00:00Z"}


async def test_yearly_true_ups_charge_each_years_share_and_give_back_what_is_used_later(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, **YEARLY, **TWO_YEARS)
    contract_id = customer.contract["id"]
    job = await start_job(system, customer, gpu_seconds=3500 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=500 * HOUR)
    shown = await api.get(f"/contracts/{contract_id}/commitment")
    assert (shown["ends_at"], shown["committed_gpu_hours"]) == ("2027-11-01T00:00:00Z", "1997.2639")
    assert (shown["true_up"]["amount"], shown["carried_gpu_hours"]) == ("5989.06", "0.0000")
    clock.now = datetime(2027, 11, 2, tzinfo=UTC)
    await Sweeps(system).close_months()
    first = await final(api, contract_id, "2027-10")
    text = "true-up: 1497.2639 committed GPU-hours not used by the end of 2027-10"
    assert true_ups(first) == [(text, "5989.06")]
    await api.post(f"/invoices/{first['id']}/pay")
    # 100 hours of the first year are told in the second: they are of the first, and come off its true-up.
    await report_usage(system, job, gpu_seconds=100 * HOUR, ended_at=datetime(2027, 10, 31, tzinfo=UTC))
    await report_usage(system, job, gpu_seconds=2800 * HOUR)
    shown = await api.get(f"/contracts/{contract_id}/commitment")
    assert (shown["starts_at"], shown["committed_gpu_hours"]) == ("2027-11-01T00:00:00Z", "2002.7361")
    clock.now = datetime(2027, 12, 2, tzinfo=UTC)
    november = await final(api, contract_id, "2027-11")
    text = "true-up corrected: 1397.2639 committed GPU-hours not used by the end of 2027-10"
    assert true_ups(november) == [(text, "-400.00")]
    clock.now = datetime(2028, 11, 2, tzinfo=UTC)
    await Sweeps(system).close_months()
    last = await final(api, contract_id, "2028-10")
    # 3,400 of 4,000 hours were used: 600 are owed, and 5,589.06 of them are charged already.
    text = "true-up: 600.0000 committed GPU-hours not used by the end of 2028-10, less what was charged for them before"
    assert (true_ups(last), last["total"]["amount"]) == ([(text, "-3189.06")], "-3189.06")
    assert await look_for_true_ups(system) == ([], False)
    assert await broken_rules(system) == {}


async def test_early_end_charges_the_rest_of_the_commitment_once(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, **YEARLY, **TWO_YEARS)
    contract_id = customer.contract["id"]
    clock.now = datetime(2027, 11, 2, tzinfo=UTC)
    first = await final(api, contract_id, "2027-10")
    assert true_ups(first)[0][1] == "7989.06"
    await api.post(f"/contracts/{contract_id}/end", {"ends_at": "2028-01-15T00:00:00Z"})
    clock.now = datetime(2028, 2, 2, tzinfo=UTC)
    last = await final(api, contract_id, "2028-01")
    assert true_ups(last)[0][1] == "8010.94"  # 16,000.00 in all
    other = {"renew": True, "plan": "on_demand", "committed_gpu_hours": 0}
    assert (await api.post(f"/contracts/{contract_id}/renewal", other))["true_up"] == "at_end"
    assert await broken_rules(system) == {}


async def test_hours_that_are_amended_in_mid_year_are_trued_up_as_the_preview_showed_them(
    api: Api, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, **YEARLY, **TWO_YEARS)
    path = f"/contracts/{customer.contract['id']}/amendments"
    clock.now = datetime(2027, 5, 3, tzinfo=UTC)  # 548 of 731 days are left
    more = {"committed_gpu_hours": 5462}
    shown = await api.post(f"{path}/preview", more)
    assert (shown["added_gpu_hours"], shown["amount"]["amount"]) == ("1096.0000", "4384.00")
    assert shown["commitment_gpu_hours"] == "5096.0000"
    await api.post(path, {**more, "preview": shown["preview"]}, expect=201)
    commitment = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    # 183 days at 4,000 hours for the term, 182 at 5,462.
    assert commitment["committed_gpu_hours"] == "2361.2639"
    clock.now = datetime(2028, 11, 2, tzinfo=UTC)
    last = await final(api, customer.contract["id"], "2028-10")
    assert last["total"]["amount"] == "20384.00"
    fewer = await api.post(f"{path}/preview", {"committed_gpu_hours": 4000}, expect=409)
    assert fewer["status"] == 409


async def test_true_up_is_amended_at_a_date_and_a_renewal_keeps_it(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, **YEARLY | {"true_up": "at_end"}, **TWO_YEARS)
    contract_id = customer.contract["id"]
    changed = await amend_contract(api, contract_id, true_up="yearly", effective_at="2027-01-01T00:00:00Z")
    assert changed["changes"] == [{"field": "true_up", "before": "at_end", "after": "yearly"}]
    clock.now = datetime(2027, 11, 2, tzinfo=UTC)
    assert (await final(api, contract_id, "2027-10"))["total"]["amount"] == "7989.06"
    following = await api.post(f"/contracts/{contract_id}/renewal", {"renew": True})
    assert (following["true_up"], following["ends_at"]) == ("yearly", "2030-11-01T00:00:00Z")
    on_demand = await amend_contract(api, contract_id, plan="on_demand")
    assert {"field": "true_up", "before": "yearly", "after": "at_end"} in on_demand["changes"]


@pytest.mark.parametrize("terms", [{"plan": "on_demand"}, {"plan": "prepaid", "committed_gpu_hours": 500}])
async def test_yearly_true_up_is_refused_where_nothing_is_trued_up(api: Api, terms: dict[str, Any]) -> None:
    customer = await make_customer(api)
    problem = await sign_contract(api, customer["id"], **terms, true_up="yearly", expect=422)
    assert problem["errors"][0]["field"] == "true_up"
    signed = await sign_contract(api, customer["id"], **terms)
    problem = await amend_contract(api, signed["id"], true_up="yearly", expect=422)
    assert problem["errors"][0]["field"] == "true_up"
    problem = await sign_contract(api, customer["id"], **YEARLY | {"true_up": "monthly"}, expect=422)
    assert problem["errors"][0]["field"] == "true_up"
