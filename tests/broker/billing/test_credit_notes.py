"""Credit notes against final invoices: numbered, on the books, off what is due or as a credit, never too much."""

import asyncio
from typing import Any

from broker.system import System
from tests.broker.billing.invoicing import bill_ten_hours, read_money, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_customer, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, broken_rules

TAXED = {"tax_mode": "on_top", "tax_rate": "0.06"}


async def credit(api: Api, invoice: Any, amount: str, *, position: int = 1, expect: int = 201) -> Any:
    lines = [{"position": position, "amount": amount}]
    body = {"invoice_id": invoice["id"], "lines": lines, "reason": "A run gone wrong"}
    return await api.post("/credit-notes", body, expect=expect)


async def test_credit_note_comes_off_what_is_due_with_its_tax(api: Api, system: System, clock: ManualClock) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock, **TAXED)
    note = await credit(api, invoice, "8.00")
    assert (note["number"], note["total"]["amount"], note["tax"]["amount"]) == ("CN-2026-000001", "8.48", "0.48")
    assert note["lines"] == [{"position": 1, "amount": {"amount": "8.00", "currency": "CNY"}}]
    assert await api.get(f"/credit-notes/{note['id']}") == note
    listed = (await api.get("/credit-notes", invoice_id=invoice["id"]))["data"]
    assert [each["id"] for each in listed] == [note["id"]]
    shown = await api.get(f"/invoices/{invoice['id']}")
    assert [shown[sum_]["amount"] for sum_ in ("total", "credited", "due")] == ["72.08", "8.48", "63.60"]
    paid = await api.post(f"/invoices/{invoice['id']}/pay")
    assert paid["due"]["amount"] == "0.00"
    assert await read_money(system, customer) == {"cash": "63.60", "revenue": "-60.00", "tax": "-3.60"}
    assert await broken_rules(system) == {}


async def test_what_was_paid_already_becomes_a_credit(api: Api, system: System, clock: ManualClock) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    await credit(api, invoice, "60.00")
    await api.post(f"/invoices/{invoice['id']}/pay")
    await credit(api, invoice, "8.00")
    problem = await credit(api, invoice, "0.01", expect=422)
    assert problem["errors"][0]["field"] == "lines.0.amount"
    assert await read_money(system, customer) == {"cash": "8.00", "customer_credit": "-8.00"}
    assert await broken_rules(system) == {}


async def test_a_credit_note_above_its_invoice_names_its_line_and_writes_nothing(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock, **TAXED)
    before = await read_money(system, customer)
    problem = await credit(api, invoice, "68.01", expect=422)
    assert [each["field"] for each in problem["errors"]] == ["lines.0.amount", "lines"]
    assert "68.00" in problem["errors"][0]["message"], "what is left of the line"
    assert (await api.get("/credit-notes", invoice_id=invoice["id"]))["data"] == []
    assert await read_money(system, customer) == before
    assert (await credit(api, invoice, "68.00"))["number"] == "CN-2026-000001", "no number was used up"


async def test_invoice_that_is_credited_whole_is_settled(api: Api, system: System, clock: ManualClock) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock, **TAXED)
    await credit(api, invoice, "68.00")
    shown = await api.get(f"/invoices/{invoice['id']}")
    assert (shown["status"], shown["due"]["amount"]) == ("paid", "0.00")
    assert await read_money(system, customer) == {}
    assert await broken_rules(system) == {}


async def test_credit_notes_at_once_take_back_a_line_once(api: Api, system: System, clock: ManualClock) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    body = {"invoice_id": invoice["id"], "lines": [{"position": 1, "amount": "40.00"}], "reason": "Twice"}
    answers = await asyncio.gather(*(api.call("POST", "/credit-notes", json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert [note["number"] for note in (await api.get("/credit-notes"))["data"]] == ["CN-2026-000001"]


async def test_draft_and_an_advance_that_nobody_paid_cannot_be_credited(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await use(system, customer, HOUR)
    body = {"contract_id": customer.contract["id"], "month": "2026-11"}
    draft = await api.post("/invoices", body, expect=201)
    owner = await make_customer(api)
    contract = await sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=500)
    advance = {"id": contract["advance_invoice_id"]}
    assert (await credit(api, draft, "1.00", expect=409))["status_before"] == "draft"
    assert (await credit(api, advance, "1.00", expect=409))["status_before"] == "open"


async def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    api: Api, system: System, clock: ManualClock
) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    good = {"invoice_id": invoice["id"], "lines": [{"position": 1, "amount": "1.00"}], "reason": "Test"}
    for change, field in (
        ({"lines": []}, "lines"),
        ({"lines": [{"position": 1, "amount": "0"}]}, "lines.0.amount"),
        ({"lines": [{"position": 1, "amount": "-1.00"}]}, "lines.0.amount"),
        ({"lines": [{"position": 1, "amount": "NaN"}]}, "lines.0.amount"),
        ({"lines": [{"position": 1, "amount": "0.001"}]}, "lines.0.amount"),
        ({"lines": [{"position": 1, "amount": "1e30"}]}, "lines.0.amount"),
        ({"lines": [{"position": 9, "amount": "1.00"}]}, "lines.0.position"),
        ({"lines": [{"position": 0, "amount": "1.00"}]}, "lines.0.position"),
        ({"currency": "USD"}, "currency"),
        ({"reason": " "}, "reason"),
        ({"reason": "a\0b"}, "reason"),
    ):
        problem = await api.post("/credit-notes", {**good, **change}, expect=422)
        assert problem["errors"][0]["field"] == field, change
    await api.post("/credit-notes", {**good, "invoice_id": "inv_none"}, expect=404)
    assert (await api.get("/credit-notes"))["data"] == []
