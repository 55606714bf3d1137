"""What is given back of a month's line in two ways: credit notes, write-offs and corrections never give it twice."""

from decimal import Decimal
from typing import Any

import pytest

from broker.system import System
from tests.broker.billing.invoicing import bill, read_money
from tests.broker.billing.proving import find_unproven
from tests.broker.billing.test_credit_notes import credit
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, report_usage, settle, start_job


async def bill_ten_hours(
    api: Api, system: System, clock: ManualClock, **terms: str
) -> tuple[Customer, RunningJob, Any]:
    """Bill ten hours at 6.80 of one interval, in a final invoice of November."""
    customer = await make_ready_customer(api, **terms)
    job = await start_job(system, customer, gpu_seconds=10 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=10 * HOUR)
    await settle(system, job)
    clock.advance(days=30)
    return customer, job, await bill(api, customer, "2026-11")


async def correct(api: Api, job: RunningJob, clock: ManualClock, hours: int) -> None:
    data = {"corrects": f"{job.run_id}/0", "gpu_seconds": hours * HOUR, "reason": "the meter was wrong"}
    event = {"specversion": "1.0", "type": "lora.usage.correction", "source": f"/runs/{job.run_id}"}
    own = {"id": f"down-to-{hours}", "time": clock.now.isoformat(), "data": data}
    await api.post("/usage-events", event | own, expect=202)


async def bill_draft(api: Api, customer: Customer, month: str) -> Any:
    return await api.post("/invoices", {"contract_id": customer.contract["id"], "month": month}, expect=201)


async def write_off(api: Api, invoice: Any, amount: str) -> None:
    body = {"kind": "bad_debt", "invoice_id": invoice["id"], "amount": amount, "reason": "insolvent"}
    await api.post("/adjustments", body, expect=201)


@pytest.mark.parametrize(
    ("credited", "written_off", "totals"),
    [
        (None, None, ["-34.00", "-34.00"]),
        ("20.00", None, ["-34.00", "-14.00"]),
        ("50.00", None, ["-18.00", "0.00"]),
        ("68.00", None, ["0.00", "0.00"]),
        (None, "40.00", ["-28.00", "0.00"]),
        ("34.00", "17.00", ["-17.00", "0.00"]),
    ],
)
async def test_corrections_give_back_what_nothing_else_has(
    api: Api, system: System, clock: ManualClock, credited: str | None, written_off: str | None, totals: list[str]
) -> None:
    customer, job, invoice = await bill_ten_hours(api, system, clock)
    if credited is not None:
        await credit(api, invoice, credited)
    if written_off is not None:
        await write_off(api, invoice, written_off)
    await correct(api, job, clock, 5)
    december = await bill_draft(api, customer, "2026-12")
    assert december["total"]["amount"] == totals[0]
    clock.advance(days=31)
    await bill(api, customer, "2026-12")
    await correct(api, job, clock, 0)
    assert (await bill_draft(api, customer, "2027-01"))["total"]["amount"] == totals[1]
    assert await broken_rules(system) == {}
    assert await find_unproven(system) == []
    told = december["lines"][0]["description"].partition("; ")[2]
    given = Decimal(credited or 0) + Decimal(written_off or 0)
    assert told == (f"{given} of that line was credited or written off before" if given else "")


async def test_credit_notes_give_back_what_corrections_have_left(api: Api, system: System, clock: ManualClock) -> None:
    customer, job, invoice = await bill_ten_hours(api, system, clock)
    await correct(api, job, clock, 5)
    refused = await credit(api, invoice, "34.01", expect=422)
    assert [each["field"] for each in refused["errors"]] == ["lines.0.amount", "lines"]
    refused = await api.post(f"/invoices/{invoice['id']}/void", {"reason": "wrong"}, expect=409)
    assert "taken back in part by a later invoice" in refused["detail"]
    await api.post(
        "/disputes", {"invoice_id": invoice["id"], "position": 1, "amount": "34.01", "reason": "no"}, expect=422
    )
    await credit(api, invoice, "34.00")
    assert await read_money(system, customer) == {"receivable": "34.00", "revenue": "-34.00"}
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("taxed", "due"), [({}, "28.00"), ({"tax_mode": "on_top", "tax_rate": "0.06"}, "32.08")])
async def test_what_a_correction_has_left_of_a_written_off_invoice_is_not_credited(
    api: Api, system: System, clock: ManualClock, taxed: dict[str, str], due: str
) -> None:
    customer, job, invoice = await bill_ten_hours(api, system, clock, **taxed)
    await write_off(api, invoice, "40.00")
    await correct(api, job, clock, 0)
    assert (await api.get(f"/invoices/{invoice['id']}"))["due"]["amount"] == due
    assert (await bill_draft(api, customer, "2026-12"))["total"]["amount"] == f"-{due}"
    refused = await credit(api, invoice, "0.01", expect=422)
    assert [each["field"] for each in refused["errors"]] == ["lines"]
    assert await broken_rules(system) == {}


async def test_nothing_is_credited_of_what_was_written_off(api: Api, system: System, clock: ManualClock) -> None:
    customer, _job, invoice = await bill_ten_hours(api, system, clock)
    await write_off(api, invoice, "40.00")
    refused = await credit(api, invoice, "28.01", expect=422)
    assert [each["field"] for each in refused["errors"]] == ["lines"]
    await credit(api, invoice, "28.00")
    assert await read_money(system, customer) == {"bad_debt": "40.00", "revenue": "-40.00"}
    assert await broken_rules(system) == {}
