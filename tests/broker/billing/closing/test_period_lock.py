"""The lock of a closed month: whoever writes money, nothing of it lands there, and no way around it is open."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import pytest
from psycopg.errors import CheckViolation
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from broker.billing.closing.driving import run_closings
from broker.contracts import service as contracts
from broker.errors import PeriodClosed
from broker.ledger import service as ledger
from broker.ledger.books.periods import choose_day, find_last_day, list_months_to_close
from broker.signing.schemas import ContractIn
from broker.signing.service import sign_contract
from broker.system import System
from pricing.money import Money
from tests.broker.billing.closing.months import DECEMBER, NOVEMBER, close_november, make_november, read_journal
from tests.broker.billing.invoicing import use
from tests.broker.conftest import ManualClock
from tests.broker.contract_terms import make_terms
from tests.broker.factories import Api, Customer
from tests.broker.running_jobs import broken_rules, report_usage, start_job

TODAY = date(2026, 12, 3)
Act = Callable[[Api, System, Customer, dict[str, str]], Awaitable[object]]


@pytest.mark.parametrize(
    ("wanted", "closed_through", "day"),
    [
        (None, None, TODAY),
        (date(2026, 11, 30), None, date(2026, 11, 30)),
        (date(2026, 11, 30), "2026-10", date(2026, 11, 30)),
        (date(2026, 11, 30), "2026-11", TODAY),
        (date(2026, 3, 1), "2026-11", TODAY),
        (date(2027, 1, 1), "2026-11", TODAY),
    ],
)
def test_money_is_booked_on_its_day_or_today_where_that_month_is_closed(
    wanted: date | None, closed_through: str | None, day: date
) -> None:
    assert choose_day(TODAY, wanted, closed_through) == day


def test_a_clock_that_stands_in_a_closed_month_books_nothing() -> None:
    with pytest.raises(PeriodClosed, match="2026-12 are closed"):
        choose_day(TODAY, None, "2026-12")


def test_a_period_takes_in_the_billing_months_whose_last_day_is_in_it() -> None:
    start = datetime(2026, 9, 20, tzinfo=UTC)
    first = make_terms(starts_at=start)
    fifteenth = make_terms(starts_at=start, billing_day=15)
    assert list_months_to_close(first, NOVEMBER) == ["2026-09", "2026-10", "2026-11"]
    assert list_months_to_close(fifteenth, NOVEMBER) == ["2026-09", "2026-10"]
    assert find_last_day(fifteenth, "2026-10") == date(2026, 11, 14)
    assert list_months_to_close(make_terms(starts_at=datetime(2026, 12, 1, 4, tzinfo=UTC)), NOVEMBER) == []


async def adjust_credit(api: Api, _system: System, customer: Customer, _invoice: dict[str, str]) -> None:
    body = {"kind": "credit", "contract_id": customer.contract["id"], "amount": "5.00", "reason": "goodwill"}
    await api.post("/adjustments", body, expect=201)


async def issue_note(api: Api, _system: System, _customer: Customer, invoice: dict[str, str]) -> None:
    lines = [{"position": 1, "amount": "1.00"}]
    await api.post("/credit-notes", {"invoice_id": invoice["id"], "reason": "late", "lines": lines}, expect=201)


async def pay_in_the_past(_api: Api, system: System, customer: Customer, _invoice: dict[str, str]) -> None:
    async with system.work() as work:
        terms = await contracts.lock_contract(work, customer.contract["id"])
        amount = Money.from_decimal("3.00")
        await ledger.book_credit(work, terms, amount, reference="bank", on=date(2026, 11, 20))


async def write_off(api: Api, _system: System, _customer: Customer, invoice: dict[str, str]) -> None:
    body = {"kind": "bad_debt", "invoice_id": invoice["id"], "amount": "1.00", "reason": "gone"}
    await api.post("/adjustments", body, expect=201)


async def pay(api: Api, _system: System, _customer: Customer, invoice: dict[str, str]) -> None:
    await api.post(f"/invoices/{invoice['id']}/pay")


async def use_late(api: Api, system: System, customer: Customer, _invoice: dict[str, str]) -> None:
    """Report usage of November in December: it is a line of December's invoice."""
    clock = system.services.clock
    assert isinstance(clock, ManualClock)
    today, clock.now = clock.now, datetime(2026, 11, 19, tzinfo=UTC)
    job = await start_job(system, customer)
    clock.now = today
    await report_usage(system, job, gpu_seconds=60, ended_at=datetime(2026, 11, 20, tzinfo=UTC))
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": DECEMBER}, expect=201)
    (line,) = draft["lines"]
    assert (line["kind"], line["used_month"], line["quantity"]) == ("correction", NOVEMBER, 60)


@pytest.mark.parametrize("act", [adjust_credit, issue_note, pay_in_the_past, write_off, pay, use_late])
async def test_after_the_close_nothing_is_booked_into_the_month(
    api: Api, system: System, clock: ManualClock, act: Act
) -> None:
    customer, _idle = await make_november(api, system, clock, customers=1)
    assert await close_november(api, system) == "closed"
    (invoice,) = (await api.get("/invoices"))["data"]
    november, december = [await read_journal(system, month) for month in (NOVEMBER, DECEMBER)]
    await act(api, system, customer, invoice)
    assert await read_journal(system, NOVEMBER) == november
    assert act is use_late or len(await read_journal(system, DECEMBER)) > len(december)
    assert await broken_rules(system) == {}


async def test_late_usage_of_a_contract_that_had_nothing_to_bill_goes_to_the_next_month(
    api: Api, system: System, clock: ManualClock
) -> None:
    _customer, idle = await make_november(api, system, clock, customers=1)
    assert await close_november(api, system) == "closed"
    await use_late(api, system, idle, {})
    assert await broken_rules(system) == {}


async def test_a_contract_that_is_signed_for_a_closed_month_bills_in_the_next_one(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It begins in November; its hours of then come on December's invoice."""
    customer, _idle = await make_november(api, system, clock, customers=1)
    assert await close_november(api, system) == "closed"
    made = await api.post("/customers", {"name": "Backdated"}, expect=201)
    body = {"customer_id": made["id"], "plan": "on_demand", "starts_at": "2026-11-15T00:00:00Z"}
    signed = await api.post("/contracts", body, expect=201)
    async with system.work() as work:
        closed = await ledger.list_closed_of(work, [signed["id"]])
    assert closed == {signed["id"]: {NOVEMBER}}
    await use(system, customer, 60)
    assert await broken_rules(system) == {}


async def test_a_contract_that_is_being_signed_while_the_last_step_runs_is_closed_with_the_month(
    api: Api, system: System, clock: ManualClock
) -> None:
    """The last check did not see it, and the lock came before its commit: its November stayed open in closed books."""
    _customer, idle = await make_november(api, system, clock, customers=1)
    made = await api.post("/customers", {"name": "Just signing"}, expect=201)
    await api.post("/closings", {"month": NOVEMBER}, expect=202)
    body = {"customer_id": made["id"], "plan": "on_demand", "starts_at": "2026-11-15T00:00:00Z"}
    async with system.work() as work:
        signed = await sign_contract(work, ContractIn.model_validate(body).read_contract(work.now))
        closing = asyncio.create_task(run_closings(system, ()))
        assert await asyncio.wait([closing], timeout=1) == (set(), {closing}), "it waits for the commit"
    await closing
    assert (await api.get(f"/closings/{NOVEMBER}"))["status"] == "closed"
    async with system.work() as work:
        closed = await ledger.list_closed_of(work, [signed.terms.id, idle.contract["id"]])
    assert closed == {signed.terms.id: {NOVEMBER}, idle.contract["id"]: {NOVEMBER}}
    assert await broken_rules(system) == {}


async def test_the_database_refuses_what_goes_past_the_code(api: Api, system: System, clock: ManualClock) -> None:
    customer, _idle = await make_november(api, system, clock, customers=1)
    assert await close_november(api, system) == "closed"
    insert = text(
        "INSERT INTO ledger_transfers (id, contract_id, customer_id, kind, created_at, booked_on)"
        " VALUES ('tra_1', :contract, :customer, 'forged', now(), '2026-10-05')"
    )
    with pytest.raises(IntegrityError) as caught:
        async with system.work() as work:
            await work.session.execute(insert, {"contract": customer.contract["id"], "customer": customer.id})
    assert isinstance(caught.value.orig, CheckViolation)
    assert "the books of 2026-10 are closed" in str(caught.value.orig)
