"""Invoices on the books: what is owed, paid, deferred, earned and taxed, to the fen."""

from broker.reports.reconciliation import reconcile_books
from broker.system import System
from tests.broker.billing.invoicing import bill, read_money, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, make_ready_customer, sign_contract, upload_dataset
from tests.broker.running_jobs import HOUR, broken_rules

TAXED = {"tax_mode": "on_top", "tax_rate": "0.06"}


async def test_usage_is_owed_with_its_tax_and_then_paid(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, **TAXED)
    await use(system, customer, HOUR, 1000)  # 6.80 and 0.12
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    lines = [(line["kind"], line["amount"]["amount"]) for line in invoice["lines"]]
    assert lines == [("usage", "6.80"), ("usage", "0.12"), ("tax", "0.42")]  # 6.92 × 0.06 = 0.4152
    assert (invoice["total"]["amount"], invoice["tax"]["amount"], invoice["due"]["amount"]) == ("7.34", "0.42", "7.34")
    assert await read_money(system, customer) == {"receivable": "7.34", "revenue": "-6.92", "tax": "-0.42"}
    paid = await api.post(f"/invoices/{invoice['id']}/pay")
    assert paid["due"]["amount"] == "0.00"
    assert await read_money(system, customer) == {"cash": "7.34", "revenue": "-6.92", "tax": "-0.42"}
    assert await broken_rules(system) == {}


async def test_included_tax_is_taken_out_of_the_total(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, tax_mode="included", tax_rate="0.06")
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    assert [line["kind"] for line in invoice["lines"]] == ["usage"]
    assert (invoice["total"]["amount"], invoice["tax"]["amount"]) == ("68.00", "3.85")
    assert await read_money(system, customer) == {"receivable": "68.00", "revenue": "-64.15", "tax": "-3.85"}
    assert await broken_rules(system) == {}


async def test_advance_is_deferred_until_final_invoices_earn_it_to_the_last_fen(
    api: Api, system: System, clock: ManualClock
) -> None:
    owner = await make_customer(api)
    contract = await sign_contract(api, owner["id"], plan="prepaid", committed_gpu_hours=500, overage="block", **TAXED)
    customer = Customer(owner["id"], contract, await upload_dataset(api, owner["id"]))
    assert await read_money(system, customer) == {
        "receivable": "2756.00",
        "deferred_revenue": "-2600.00",
        "tax": "-156.00",
    }
    await api.post(f"/invoices/{contract['advance_invoice_id']}/pay")
    for gpu_seconds in (100, 100, 500 * HOUR - 200):  # 100 seconds are 0.1444… yuan
        await use(system, customer, gpu_seconds)
        clock.advance(days=31)
        month = {12: "2026-11", 1: "2026-12", 2: "2027-01"}[clock.now.month]
        assert (await bill(api, customer, month))["total"]["amount"] == "0.00"
        assert await broken_rules(system) == {}
    money = await read_money(system, customer)
    assert money.pop("cash") == "2756.00"
    assert money.pop("tax") == "-156.00"
    assert money == {"revenue": "-2599.99", "rounding": "-0.01"}, "three invoices took off 0.14, 0.14 and 2599.71"


async def test_what_a_gift_pays_is_revenue_and_costs_the_house_as_much(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, **TAXED)
    gift = {"contract_id": customer.contract["id"], "kind": "promotional", "gpu_hours": "1", "reason": "Launch"}
    await api.post("/grants", gift, expect=201)
    await use(system, customer, 3 * HOUR)
    clock.advance(days=30)
    assert (await bill(api, customer, "2026-11"))["total"]["amount"] == "14.42"  # two hours, and tax
    assert await read_money(system, customer) == {
        "receivable": "14.42",
        "gift_costs": "6.80",
        "revenue": "-20.40",
        "tax": "-0.82",
    }
    assert await broken_rules(system) == {}


async def test_credit_pays_an_invoice_as_far_as_it_reaches(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    path, by_credit = f"/invoices/{invoice['id']}/pay", {"from_credit": True}
    assert (await api.post(path, by_credit, expect=422))["errors"][0]["field"] == "from_credit"
    gift = {"kind": "credit", "contract_id": customer.contract["id"], "amount": "8.00", "reason": "Sorry"}
    await api.post("/adjustments", gift, expect=201)
    partly = await api.post(path, by_credit)
    assert (partly["status"], partly["due"]["amount"]) == ("partly_paid", "60.00")
    assert (await api.post(path))["status"] == "paid"
    assert await read_money(system, customer) == {"cash": "60.00", "gift_costs": "8.00", "revenue": "-68.00"}
    assert await broken_rules(system) == {}


async def test_credit_of_a_contract_that_has_ended_pays_for_the_next(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It was its contract's alone: what had been paid too late could never be used once that was over."""
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-12-01T00:00:00Z")
    old = customer.contract["id"]
    gift = {"kind": "credit", "contract_id": old, "amount": "2700.00", "reason": "paid too late"}
    await api.post("/adjustments", gift, expect=201)
    renewal = await api.post(f"/contracts/{old}/renewal", {"renew": True})
    clock.advance(days=30)
    paid = await api.post(f"/invoices/{renewal['advance_invoice_id']}/pay", {"from_credit": True})
    assert (paid["status"], paid["due"]["amount"]) == ("paid", "0.00")
    assert (await read_money(system, customer))["customer_credit"] == "-1400.00"  # the newer card halves the price
    async with system.work() as work:
        assert [link.name for link in await reconcile_books(work) if link.differences] == []
    assert await broken_rules(system) == {}


async def test_month_that_asks_for_nothing_is_settled_as_it_becomes_final(
    api: Api, system: System, clock: ManualClock
) -> None:
    """Its hours were paid ahead: the invoice stayed open once, with nothing due, and grew overdue."""
    customer = await make_ready_customer(api, plan="prepaid")
    await use(system, customer, HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    assert (invoice["total"]["amount"], invoice["status"]) == ("0.00", "paid")
    assert invoice["paid_at"] == invoice["finalized_at"]
    assert await broken_rules(system) == {}
