"""Voids of final invoices: all is given back, the number stays, nothing is asked for; what was paid is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from broker import errors
from broker.billing import service
from broker.billing.debts import list_due_invoices
from broker.billing.model import InvoiceStatus
from broker.billing.tables import Invoice
from broker.billing.voiding import Touched, find_obstacle, void_invoice
from broker.config import Settings
from broker.processes.boot import DatabaseUrls
from broker.system import System
from broker.work import Work
from pricing.money import Money
from tests.broker.billing.invoicing import bill, bill_ten_hours, read_money, use
from tests.broker.billing.test_credit_notes import TAXED, credit
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, sign_contract
from tests.broker.jobs.admitting.test_submissions import until_waiting
from tests.broker.reports.focus.test_export import add, export
from tests.broker.running_jobs import HOUR, broken_rules

WHY = {"reason": "Billed to the wrong company"}
ZERO = Money.zero()
FREE = Touched(InvoiceStatus.OPEN, total=Money(680_000), paid=ZERO, credited=ZERO, written_off=ZERO)


async def void(api: Api, invoice: Any, *, expect: int = 200) -> Any:
    return await api.post(f"/invoices/{invoice['id']}/void", WHY, expect=expect)


async def test_void_gives_all_back_keeps_the_number_and_changes_nothing_again(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock, **TAXED)
    async with customer_api(api, customer.id) as own:
        await void(own, invoice, expect=403)
    made = await void(api, invoice)
    assert (made["status"], made["number"]) == ("void", invoice["number"])
    assert [made[name]["amount"] for name in ("total", "credited", "due")] == ["72.08", "72.08", "0.00"]
    assert (made["paid_at"], made["lines"]) == (None, invoice["lines"])
    (note,) = (await api.get("/credit-notes", invoice_id=invoice["id"]))["data"]
    assert (note["total"]["amount"], note["tax"]["amount"], note["reason"]) == ("72.08", "4.08", WHY["reason"])
    assert await read_money(system, customer) == {}
    assert await void(api, invoice) == made
    assert len((await api.get("/credit-notes", invoice_id=invoice["id"]))["data"]) == 1
    (told,) = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="invoice_voided"))["data"]
    assert told["data"] == {"invoice_id": invoice["id"], "number": invoice["number"], "amount": "72.08", **WHY}
    assert "make_invoice_void" in {row["action"] for row in (await api.get("/audit"))["data"]}
    assert await broken_rules(system) == {}


async def test_void_is_never_overdue_nor_drafted_disputed_or_credited_again(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    clock.advance(days=60)
    async with system.work() as work:
        assert [each.id for each in await list_due_invoices(work)] == [invoice["id"]]
    await void(api, invoice)
    async with system.work() as work:
        assert await list_due_invoices(work) == []
    assert (await credit(api, invoice, "1.00", expect=409))["status_before"] == "void"
    await api.post("/disputes", {"invoice_id": invoice["id"], "position": 1, **WHY}, expect=409)
    await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=409)
    await api.post(f"/invoices/{invoice['id']}/pay", {"from_credit": True}, expect=409)


async def test_late_payment_of_a_void_invoice_is_the_customers_credit_once(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    await void(api, invoice)
    for _time in range(2):
        late = await api.post(f"/invoices/{invoice['id']}/pay")
    assert (late["status"], late["due"]["amount"], late["paid_at"] is None) == ("void", "0.00", False)
    assert await read_money(system, customer) == {"cash": "68.00", "customer_credit": "-68.00"}
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("touched", "cure"),
    [
        (FREE, None),
        (replace(FREE, status=InvoiceStatus.DRAFT), "POST /v1/invoices drafts it anew"),
        (replace(FREE, paid=Money(1)), "POST /v1/refunds"),
        (replace(FREE, status=InvoiceStatus.PAID, paid=FREE.total), "POST /v1/refunds"),
        (replace(FREE, credited=Money(1)), "POST /v1/credit-notes"),
        (replace(FREE, status=InvoiceStatus.WRITTEN_OFF, written_off=FREE.total), "POST /v1/credit-notes"),
        (replace(FREE, total=ZERO), "nothing to be made void"),
        (replace(FREE, by_grants=True), "grants have paid for"),
        (replace(FREE, is_disputed=True), "end its dispute first"),
    ],
)
def test_refusal_says_what_is_done_instead(touched: Touched, cure: str | None) -> None:
    told = find_obstacle(touched)
    assert told is None if cure is None else cure in (told or "")


async def test_what_was_touched_is_refused_and_nothing_is_written(api: Api, system: System, clock: ManualClock) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    await use(system, customer, HOUR)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-12"}, expect=201)
    dispute = await api.post("/disputes", {"invoice_id": invoice["id"], "position": 1, **WHY}, expect=201)
    assert "end its dispute first" in (await void(api, invoice, expect=409))["detail"]
    await api.post(f"/disputes/{dispute['id']}/withdraw")
    assert (await void(api, draft, expect=409))["status_before"] == "draft"
    await api.post(f"/invoices/{invoice['id']}/pay")
    assert "POST /v1/refunds" in (await void(api, invoice, expect=409))["detail"]
    await void(api, {"id": "inv_none"}, expect=404)
    await api.post(f"/invoices/{invoice['id']}/void", {"reason": " "}, expect=422)
    assert (await api.get("/credit-notes"))["data"] == []
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "paid"


async def test_usage_that_a_grant_paid_is_refused(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage="contract")
    await use(system, customer, 501 * HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    assert "grants have paid for" in (await void(api, invoice, expect=409))["detail"]


async def test_void_advance_cancels_its_grant(api: Api, system: System) -> None:
    owner = await make_customer(api)
    contract = await sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=500)
    made = await void(api, {"id": contract["advance_invoice_id"]})
    assert (made["status"], made["due"]["amount"], made["credited"]["amount"]) == ("void", "0.00", "0.00")
    (grant,) = (await api.get("/grants", contract_id=contract["id"]))["data"]
    assert grant["status"] == "cancelled"
    kinds = {each["kind"] for each in (await api.get(f"/contracts/{contract['id']}/events"))["data"]}
    assert {"invoice_voided", "grant_cancelled"} <= kinds
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("first", ["void", "pay"])
async def test_void_and_payment_at_once_wait_for_each_other_and_one_wins(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls, first: str
) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    ways: dict[str, Callable[[Work], Awaitable[Invoice]]] = {
        "void": lambda work: void_invoice(work, invoice["id"], WHY["reason"]),
        "pay": lambda work: service.pay_invoice(work, invoice["id"]),
    }

    async def act_later(way: Callable[[Work], Awaitable[Invoice]]) -> str:
        async with system.work() as work:
            return (await way(work)).status

    other = ways.pop("pay" if first == "void" else "void")
    with psycopg.connect(urls.owner or "", autocommit=True) as watch:
        async with system.work() as work:
            await ways[first](work)
            later = asyncio.create_task(act_later(other))
            await until_waiting(watch)
    if first == "void":
        assert await later == "void"
        assert await read_money(system, customer) == {"cash": "68.00", "customer_credit": "-68.00"}
    else:
        with pytest.raises(errors.IllegalTransition, match="was paid"):
            await later
        assert await read_money(system, customer) == {"cash": "68.00", "revenue": "-68.00"}
    assert await broken_rules(system) == {}


async def test_voids_at_once_give_back_once(api: Api, system: System, clock: ManualClock) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    path = f"/invoices/{invoice['id']}/void"
    answers = await asyncio.gather(*(api.call("POST", path, json=WHY, expect=200) for _ in range(3)))
    assert {answer.json()["status"] for answer in answers} == {"void"}
    assert len((await api.get("/credit-notes"))["data"]) == 1
    assert await read_money(system, customer) == {}


async def test_reports_count_nothing_of_a_void_invoice_and_months_that_are_over_stay(
    api: Api, system: System, clock: ManualClock
) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock, **TAXED)
    before = await api.get("/reports/monthly-cost", month="2026-11")
    billed = await export(api, "2026-11")
    await void(api, invoice)
    assert (await api.get("/reports/monthly-cost", month="2026-11"))["data"] == before["data"]
    assert (await api.get("/reports/monthly-cost", month="2026-12"))["credited"]["amount"] == "72.08"
    assert add(await export(api, "2026-11")) == add(billed) == Decimal("72.08")
    assert add(await export(api, "2026-12")) == Decimal("-72.08")
    for month, revenue, tax in (("2026-11", "68.00", "4.08"), ("2026-12", "-68.00", "-4.08")):
        (row,) = (await api.get("/reports/revenue", month=month))["data"]
        assert (row["revenue"]["amount"], row["tax"]["amount"]) == (revenue, tax), month


async def test_void_leaves_a_fapiao_debt_as_a_credit_note_does(
    api: Api, system: System, clock: ManualClock, settings: Settings
) -> None:
    settings.fapiao_item, settings.fapiao_tax_code = "*信息技术服务*算力服务费", "3040203000000000000"
    settings.fapiao_tax_rate = Decimal("0.06")
    customer, invoice = await bill_ten_hours(api, system, clock)
    title = {"name": "苏州青茶文化有限公司", "tax_number": "91110000600037341L"}
    asked = {"kind": "normal", "title": title, "customer_id": customer.id}
    fapiao = await api.post("/fapiao", asked, expect=201)
    issued = {"number": "25330000000000000001", "issued_on": clock.now.date().isoformat()}
    await api.post(f"/fapiao/{fapiao['id']}/issue", issued)
    assert (await void(api, invoice))["fapiao_debt"]["amount"] == "68.00"
    there = await api.get("/fapiao/invoiceable", customer_id=customer.id)
    assert (there["invoiceable"]["amount"], there["debt"]["amount"]) == ("0.00", "68.00")
    assert await broken_rules(system) == {}
