"""Invoices over their life: drafted, written anew, made final, numbered, paid; months that close; late usage."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from broker.billing.service import draft_if_over, list_undrafted_months
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, make_ready_customer, sign_contract
from tests.broker.running_jobs import (
    HOUR,
    RunningJob,
    broken_rules,
    read_balance,
    report_usage,
    settle,
    start_job,
)

NOVEMBER, DECEMBER = "2026-11", "2026-12"
LAST_SECOND_OF_NOVEMBER = datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC)
MIDNIGHT_IN_SHANGHAI = datetime(2026, 11, 30, 16, 0, 0, tzinfo=UTC)


async def draft(api: Api, customer: Customer, month: str = NOVEMBER, *, expect: int = 201) -> Any:
    return await api.post("/invoices", {"contract_id": customer.contract["id"], "month": month}, expect=expect)


async def finalize(api: Api, customer: Customer, month: str = NOVEMBER) -> Any:
    made = await draft(api, customer, month)
    return await api.post(f"/invoices/{made['id']}/finalize")


async def run_close(system: System) -> list[tuple[str, str | None]]:
    async with system.work() as work:
        drafted = [await draft_if_over(work, place) for place in await list_undrafted_months(work)]
        return [(invoice.contract_id, str(invoice.month)) for invoice in drafted if invoice is not None]


async def used_job(system: System, customer: Customer, *, gpu_seconds: int = HOUR) -> RunningJob:
    job = await start_job(system, customer)
    await report_usage(system, job, gpu_seconds=gpu_seconds)
    return job


async def test_each_line_is_rounded_once_and_the_lines_add_up_to_the_total(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    for gpu_seconds, tokens in ((1, 1), (95, 12_840), (3599, 41), (7, 42)):
        job = await start_job(system, customer)
        await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    invoice = await draft(api, customer)
    by_quantity = {line["quantity"]: line["amount"]["amount"] for line in invoice["lines"]}
    assert by_quantity[95] == "0.18"  # 95 × 6.8 / 3600 = 0.17944…
    assert by_quantity[12_840] == "1.54"  # 1.5408
    assert by_quantity[3599] == "6.80"  # 6.79811…
    assert (by_quantity[41], by_quantity[42]) == ("0.00", "0.01")  # 0.00492, 0.00504
    fen = [int(line["amount"]["amount"].replace(".", "")) for line in invoice["lines"]]
    assert int(invoice["total"]["amount"].replace(".", "")) == sum(fen)


async def test_half_a_fen_goes_to_the_even_neighbour(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    for tokens in (250, 750):  # 0.015 and 0.045
        job = await start_job(system, customer)
        await report_usage(system, job, tokens=tokens)
    lines = (await draft(api, customer))["lines"]
    assert [line["amount"]["amount"] for line in lines] == ["0.02", "0.04"]


async def test_month_ends_at_midnight_of_the_contracts_time_zone(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    clock.now = LAST_SECOND_OF_NOVEMBER
    await report_usage(system, job, gpu_seconds=10)
    clock.now = MIDNIGHT_IN_SHANGHAI
    await report_usage(system, job, gpu_seconds=20)
    november, december = await draft(api, customer), await draft(api, customer, DECEMBER)
    assert [line["quantity"] for line in november["lines"]] == [10]
    assert [line["quantity"] for line in december["lines"]] == [20]


async def test_invoice_cannot_be_final_before_its_month_has_ended(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await used_job(system, customer)
    made = await draft(api, customer)
    clock.now = LAST_SECOND_OF_NOVEMBER
    problem = await api.post(f"/invoices/{made['id']}/finalize", expect=409)
    assert (problem["type"], problem["month"]) == ("/problems/period-still-open", NOVEMBER)
    clock.now = MIDNIGHT_IN_SHANGHAI
    assert (await api.post(f"/invoices/{made['id']}/finalize"))["number"] == "INV-2026-000001"


async def test_month_that_has_not_begun_has_no_invoice(api: Api) -> None:
    customer = await make_ready_customer(api)
    problem = await draft(api, customer, DECEMBER, expect=422)
    assert problem["errors"][0]["field"] == "month"


async def test_draft_is_written_anew_and_a_final_invoice_is_not_touched(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    job = await used_job(system, customer)
    first = await draft(api, customer)
    await report_usage(system, job, gpu_seconds=HOUR)
    second = await draft(api, customer)
    assert (first["id"], first["total"]["amount"]) == (second["id"], "6.80")
    assert second["total"]["amount"] == "13.60"
    clock.advance(days=25)
    final = await finalize(api, customer)
    assert (await draft(api, customer, expect=409))["status_before"] == "open"
    assert await api.get(f"/invoices/{final['id']}") == final
    await api.post(f"/invoices/{final['id']}/finalize", expect=409)


async def test_usage_after_the_draft_is_on_the_final_invoice(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    job = await used_job(system, customer)
    clock.now = MIDNIGHT_IN_SHANGHAI
    made = await draft(api, customer)
    await report_usage(system, job, gpu_seconds=HOUR, ended_at=LAST_SECOND_OF_NOVEMBER)
    assert (await api.post(f"/invoices/{made['id']}/finalize"))["total"]["amount"] == "13.60"


async def test_usage_reported_after_its_month_is_final_is_billed_in_the_next_open_one(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00")
    job = await used_job(system, customer)
    clock.now = MIDNIGHT_IN_SHANGHAI
    november = await finalize(api, customer)
    await report_usage(system, job, gpu_seconds=2 * HOUR, ended_at=LAST_SECOND_OF_NOVEMBER)
    clock.advance(days=40)
    assert await run_close(system) == [(customer.contract["id"], DECEMBER)]
    december = await finalize(api, customer, DECEMBER)
    await report_usage(system, job, gpu_seconds=4 * HOUR, ended_at=LAST_SECOND_OF_NOVEMBER)
    january = await draft(api, customer, "2027-01")
    quantities = [[line["quantity"] for line in invoice["lines"]] for invoice in (november, december, january)]
    assert quantities == [[HOUR], [2 * HOUR], [4 * HOUR]]
    budget_left = (await read_balance(system, customer.contract["id"])).budget_left
    assert budget_left is not None
    assert budget_left.format_amount() == "72.80", "January's budget pays what January's invoice asks for"
    assert await broken_rules(system) == {}


async def test_numbers_have_no_gap_when_invoices_are_made_final_at_once(
    api: Api, system: System, clock: ManualClock
) -> None:
    customers = [await make_ready_customer(api) for _ in range(6)]
    for customer in customers:
        await used_job(system, customer)
    clock.now = MIDNIGHT_IN_SHANGHAI
    drafts = [await draft(api, customer) for customer in customers]
    others = [make_customer(api) for _ in range(3)]
    owners = [await other for other in others]
    finals = [api.call("POST", f"/invoices/{made['id']}/finalize") for made in drafts for _ in range(2)]
    advances = [sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=500) for owner in owners]
    refused = [sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=499, expect=422) for owner in owners]
    answers = await asyncio.gather(*finals, *advances, *refused)
    assert sorted(answer.status_code for answer in answers[: len(finals)]) == [200] * 6 + [409] * 6
    numbers = [invoice["number"] for invoice in (await api.get("/invoices", limit=100))["data"]]
    assert sorted(numbers) == [f"INV-2026-{number:06d}" for number in range(1, 10)]


async def test_number_is_of_the_year_in_the_brokers_time_zone(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await used_job(system, customer)
    clock.now = datetime(2026, 12, 31, 16, 30, tzinfo=UTC)  # half past midnight on 1 January in Shanghai
    assert (await finalize(api, customer))["number"] == "INV-2027-000001"


async def test_draft_and_finalize_at_once_do_not_block_each_other(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await used_job(system, customer)
    clock.now = MIDNIGHT_IN_SHANGHAI
    made = await draft(api, customer)
    body = {"contract_id": customer.contract["id"], "month": NOVEMBER}
    answers = await asyncio.gather(
        *(api.call("POST", "/invoices", json=body) for _ in range(6)),
        *(api.call("POST", f"/invoices/{made['id']}/finalize") for _ in range(6)),
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert (await api.get(f"/invoices/{made['id']}"))["number"] == "INV-2026-000001"


async def test_advance_that_is_paid_many_times_at_once_credits_once(api: Api, system: System) -> None:
    owner = await make_customer(api)
    contract = await sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=500)
    before = await read_balance(system, contract["id"])
    path = f"/invoices/{contract['advance_invoice_id']}/pay"
    answers = await asyncio.gather(*(api.call("POST", path) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    after = await read_balance(system, contract["id"])
    assert (before.available_gpu_seconds, after.available_gpu_seconds) == (0, 500 * HOUR)
    assert after.granted_gpu_seconds == 500 * HOUR
    assert await broken_rules(system) == {}


async def test_draft_cannot_be_paid(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await used_job(system, customer)
    made = await draft(api, customer)
    assert (await api.post(f"/invoices/{made['id']}/pay", expect=409))["status_before"] == "draft"


async def test_month_close_drafts_past_months_only_and_once(api: Api, system: System, clock: ManualClock) -> None:
    customer, idle = await make_ready_customer(api), await make_ready_customer(api)
    job = await used_job(system, customer)
    assert await run_close(system) == []
    clock.now = MIDNIGHT_IN_SHANGHAI
    await report_usage(system, job, gpu_seconds=HOUR)
    assert await run_close(system) == [(customer.contract["id"], NOVEMBER)]
    assert await run_close(system) == []
    await settle(system, job)
    invoices = (await api.get("/invoices", limit=100))["data"]
    assert [(invoice["contract_id"], invoice["month"], invoice["status"]) for invoice in invoices] == [
        (customer.contract["id"], NOVEMBER, "draft")
    ]
    assert idle.contract["id"] not in {invoice["contract_id"] for invoice in invoices}


async def test_two_month_closes_at_once_make_one_draft(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await used_job(system, customer)
    clock.now = MIDNIGHT_IN_SHANGHAI
    await asyncio.gather(*(run_close(system) for _ in range(4)))
    assert len((await api.get("/invoices", limit=100))["data"]) == 1
