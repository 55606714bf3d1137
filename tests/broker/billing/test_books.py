"""Invoices on the books: what is owed, paid, deferred, earned and taxed, to the fen."""

from sqlalchemy import select

from broker.ledger.tables import Account
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, make_ready_customer, sign_contract, upload_dataset
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, settle, start_job

TAXED = {"tax_mode": "on_top", "tax_rate": "0.06"}


async def read_money(system: System, customer: Customer) -> dict[str, str]:
    """Read the balances of the accounts of money that are not zero: what was debited less what was credited."""
    async with system.work() as work:
        query = select(Account.kind, Account.balance).where(
            Account.contract_id == customer.contract["id"],
            Account.unit == "micro_yuan",
            Account.balance != 0,
            Account.kind.not_in(["held", "used", "budget", "budget_issued", "borne", "borne_issued"]),
        )
        return {kind: Money(balance).format_amount() for kind, balance in await work.session.execute(query)}


async def use(system: System, customer: Customer, gpu_seconds: int, tokens: int = 0) -> None:
    job = await start_job(system, customer, gpu_seconds=gpu_seconds, tokens=tokens)
    await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    await settle(system, job)


async def bill(api: Api, customer: Customer, month: str) -> dict[str, str]:
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": month}, expect=201)
    return dict(await api.post(f"/invoices/{draft['id']}/finalize"))


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
