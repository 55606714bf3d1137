"""The general-ledger journal: each transfer of money is a voucher whose debits equal its credits, in its own month."""

import csv
import io
from datetime import UTC, datetime

from broker.contracts import service as contracts
from broker.ledger.books import money_books
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer

NET, TAX = Money.from_decimal("100.00"), Money.from_decimal("6.00")


async def book_invoice_and_payment(system: System, contract_id: str) -> None:
    async with system.work() as work:
        terms = await contracts.lock_contract(work, contract_id)
        await money_books.post_money(
            work,
            terms,
            "usage_invoiced",
            [
                money_books.MoneyMove(money_books.REVENUE, money_books.RECEIVABLE, NET),
                money_books.MoneyMove(money_books.TAX, money_books.RECEIVABLE, TAX),
            ],
            reference="inv_1",
        )
        await money_books.book_receipt(work, terms, NET + TAX, reference="inv_1")


async def test_vouchers_have_two_sides_in_the_order_of_booking(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await book_invoice_and_payment(system, customer.contract["id"])
    journal = await api.get("/reports/journal", month="2026-11")
    lines = [
        (line["voucher"], line["account_code"], line["debit"]["amount"], line["credit"]["amount"])
        for line in journal["data"]
    ]
    assert lines == [
        (1, "1122", "100.00", "0.00"),
        (1, "6001", "0.00", "100.00"),
        (1, "1122", "6.00", "0.00"),
        (1, "2221", "0.00", "6.00"),
        (2, "1002", "106.00", "0.00"),
        (2, "1122", "0.00", "106.00"),
    ]
    assert journal["debit"] == journal["credit"] == {"amount": "212.00", "currency": "CNY"}
    written = await api.call("GET", "/reports/journal", params={"month": "2026-11", "format": "csv"}, expect=200)
    rows = list(csv.DictReader(io.StringIO(written.content.decode("utf-8-sig"))))
    assert [(row["account"], row["debit"], row["credit"]) for row in rows[-2:]] == [
        ("银行存款", "106.00", "0.00"),
        ("应收账款", "0.00", "106.00"),
    ]


async def test_month_is_that_of_booking_in_the_house_s_time_zone(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    clock.now = datetime(2026, 11, 30, 16, 0, tzinfo=UTC)  # midnight in Asia/Shanghai
    await book_invoice_and_payment(system, customer.contract["id"])
    assert (await api.get("/reports/journal", month="2026-11"))["data"] == []
    december = await api.get("/reports/journal", month="2026-12")
    assert {line["day"] for line in december["data"]} == {"2026-12-01"}


async def test_units_and_reservations_are_no_money(api: Api, system: System) -> None:
    await make_ready_customer(api, monthly_budget="10.00")
    assert (await api.get("/reports/journal", month="2026-11"))["data"] == []
