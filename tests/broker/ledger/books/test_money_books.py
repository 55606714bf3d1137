"""Money on the books: a posting moves it between two accounts, and no more is spent of what is owed than there is."""

from collections.abc import Awaitable, Callable

import pytest
from psycopg.errors import CheckViolation
from sqlalchemy import select

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.ledger.grants.worth import plan_earned
from broker.ledger.tables import Account
from broker.system import System
from broker.work import Work
from pricing.money import Money
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.running_jobs import add_grant, broken_rules

Act = Callable[[Work, ContractTerms], Awaitable[None]]


def yuan(amount: str) -> Money:
    return Money.from_decimal(amount)


async def book(system: System, customer: Customer, act: Act) -> None:
    async with system.work() as work:
        await act(work, await contracts.lock_contract(work, customer.contract["id"]))


async def read_money(system: System, contract_id: str | None) -> dict[str, str]:
    """Read the balances of the accounts of money that are not zero."""
    async with system.work() as work:
        query = select(Account.kind, Account.balance).where(
            Account.contract_id == contract_id, Account.unit == "micro_yuan", Account.balance != 0
        )
        return {kind: Money(balance).format_amount() for kind, balance in await work.session.execute(query)}


async def test_advance_is_owed_then_paid_then_earned_refunded_or_expired(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    grant_id = await add_grant(system, customer.contract["id"], 3600)

    async def act(work: Work, terms: ContractTerms) -> None:
        await ledger.book_advance(work, terms, grant_id, net=yuan("100.00"), tax=yuan("6.00"), reference="inv_1")
        await ledger.book_receipt(work, terms, yuan("106.00"), reference="inv_1")
        owed = {"net": yuan("50.00"), "tax": yuan("3.00"), "credited": Money.zero()}
        await ledger.book_refund(work, terms, grant_id, **owed, reference=grant_id)
        await ledger.book_breakage(work, terms, grant_id, yuan("60.00"), reference=grant_id)

    await book(system, customer, act)
    assert await read_money(system, customer.contract["id"]) == {
        "cash": "106.00",
        "tax": "-3.00",
        "refunds": "-53.00",
        "breakage": "-50.00",
    }
    assert await broken_rules(system) == {}


async def test_cancelled_advance_and_a_late_payment_of_it_leave_a_credit(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    grant_id = await add_grant(system, customer.contract["id"], 3600)

    async def act(work: Work, terms: ContractTerms) -> None:
        sums = {"net": yuan("5.20"), "tax": Money.zero(), "reference": "inv_1"}
        await ledger.book_advance(work, terms, grant_id, **sums)
        await ledger.book_advance_cancelled(work, terms, grant_id, **sums)
        await ledger.book_credit(work, terms, yuan("5.20"), reference="inv_1")

    await book(system, customer, act)
    assert await read_money(system, customer.contract["id"]) == {"cash": "5.20", "customer_credit": "-5.20"}


async def test_receipt_of_nobody_is_the_houses(api: Api, system: System) -> None:
    async with system.work() as work:
        await ledger.book_receipts(work, [("line_1", yuan("12.34"), work.now.date())])
    assert await read_money(system, None) == {"cash": "12.34", "unmatched_receipts": "-12.34"}
    broken = await broken_rules(system)
    assert len(broken) == 2, "both accounts of the house have more than the payments say: there is none"


async def test_database_refuses_to_give_back_more_than_was_paid_ahead(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    grant_id = await add_grant(system, customer.contract["id"], 3600)

    async def act(work: Work, terms: ContractTerms) -> None:
        owed = {"net": yuan("0.01"), "tax": Money.zero(), "credited": Money.zero()}
        await ledger.book_refund(work, terms, grant_id, **owed, reference=grant_id)

    with pytest.raises(CheckViolation, match="not_overspent"):
        await book(system, customer, act)


async def test_invoice_below_zero_is_a_credit(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)

    async def act(work: Work, terms: ContractTerms) -> None:
        billed = ledger.MonthsInvoice(yuan("-10.00"), yuan("-0.60"), by_grants=Money.zero())
        await ledger.book_usage(work, "2026-11", [ledger.BookedInvoice(terms, billed, "inv_1")])

    await book(system, customer, act)
    assert await read_money(system, customer.contract["id"]) == {
        "customer_credit": "-10.60",
        "revenue": "10.00",
        "tax": "0.60",
    }


async def test_what_is_earned_of_advances_leaves_the_price_of_the_rest_and_the_fen_between() -> None:
    deferred = {"used up": yuan("0.01"), "in use": yuan("10.00"), "came back": yuan("1.00")}
    left = {"used up": yuan("0.00"), "in use": yuan("7.00"), "came back": yuan("1.50")}
    moves = plan_earned(deferred, left, by_advances=yuan("2.50"))
    assert [(each.debit.value, each.grant_id, each.amount.format_amount()) for each in moves] == [
        ("deferred_revenue", "used up", "0.01"),
        ("deferred_revenue", "in use", "3.00"),
        ("deferred_revenue", "came back", "-0.50"),
        ("rounding", None, "-0.01"),
    ]
