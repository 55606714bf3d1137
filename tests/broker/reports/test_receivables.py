"""Receivables: what is owed of final invoices by age, as the ledger has it, each to its own customer."""

import csv
import io

import pytest
from sqlalchemy import func, select

from broker.ledger.books.model import AccountKind
from broker.ledger.tables import Account
from broker.reports.receivables import Age, find_age
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, report_usage, start_job


@pytest.mark.parametrize(
    ("days", "age"),
    [
        (0, Age.NOT_DUE),
        (1, Age.TO_30),
        (30, Age.TO_30),
        (31, Age.TO_60),
        (60, Age.TO_60),
        (61, Age.TO_90),
        (90, Age.TO_90),
        (91, Age.OVER_90),
    ],
)
def test_a_debt_is_as_old_as_its_days_overdue(days, age) -> None:
    assert find_age(days) is age


async def read_receivable(system: System) -> int:
    """Read what the ledger's receivables come to. Units: micro-yuan."""
    async with system.work() as work:
        query = select(func.sum(Account.balance)).where(Account.kind == AccountKind.RECEIVABLE.value)
        return abs(int(await work.session.scalar(query) or 0))


async def test_what_is_owed_is_told_by_customer_and_age(api: Api, system: System, clock: ManualClock) -> None:
    buyer = await make_customer(api)
    await sign_contract(api, buyer["id"], plan="prepaid", committed_gpu_hours=500)
    user = await make_ready_customer(api, payment_days=10)
    job = await start_job(system, user)
    await report_usage(system, job, gpu_seconds=HOUR)
    clock.advance(days=25)
    draft = await api.post("/invoices", {"contract_id": user.contract["id"], "month": "2026-11"}, expect=201)
    assert [each["customer_id"] for each in (await api.get("/reports/receivables"))["data"]] == [buyer["id"]]
    await api.post(f"/invoices/{draft['id']}/finalize")
    clock.advance(days=40)
    report = await api.get("/reports/receivables")
    owed = {each["customer_id"]: each for each in report["data"]}
    (usage,) = owed[user.id]["invoices"]
    assert (usage["kind"], usage["days_overdue"], usage["age"]) == ("usage", 30, "days_1_to_30")
    (advance,) = owed[buyer["id"]]["invoices"]
    assert (advance["kind"], advance["age"]) == ("advance", "days_31_to_60")
    assert owed[user.id]["by_age"]["days_1_to_30"]["amount"] == owed[user.id]["due"]["amount"] == "6.80"
    assert report["due"]["amount"] == "2606.80"
    assert await read_receivable(system) == 2_606_800_000
    async with customer_api(api, user.id) as own:
        assert [each["customer_id"] for each in (await own.get("/reports/receivables"))["data"]] == [user.id]
    answer = await api.call("GET", "/reports/receivables", expect=200, params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert sorted((row["number"], row["due"]) for row in rows) == sorted(
        [(advance["number"], "2600.00"), (usage["number"], "6.80")]
    )
    await api.post(f"/invoices/{draft['id']}/pay")
    assert (await api.get("/reports/receivables", customer_id=user.id))["data"] == []
    await api.get("/reports/receivables", expect=404, customer_id="cus_nobody")


async def test_what_was_paid_credited_or_given_up_is_owed_no_more(api: Api, system: System, clock: ManualClock) -> None:
    """Ten hours of 68.00: 8.00 paid by credit, 6.80 taken back, and the rest given up in the end."""
    user = await make_ready_customer(api)
    job = await start_job(system, user, gpu_seconds=10 * HOUR)
    await report_usage(system, job, gpu_seconds=10 * HOUR)
    clock.advance(days=30)
    contract = {"contract_id": user.contract["id"]}
    draft = await api.post("/invoices", {**contract, "month": "2026-11"}, expect=201)
    await api.post(f"/invoices/{draft['id']}/finalize")
    await api.post("/adjustments", {**contract, "kind": "credit", "amount": "8.00", "reason": "Sorry"}, expect=201)
    await api.post(f"/invoices/{draft['id']}/pay", {"from_credit": True})
    note = {"invoice_id": draft["id"], "reason": "an hour too much", "lines": [{"position": 1, "amount": "6.80"}]}
    await api.post("/credit-notes", note, expect=201)
    (owed,) = (await api.get("/reports/receivables"))["data"]
    assert (owed["due"]["amount"], owed["invoices"][0]["due"]["amount"]) == ("53.20", "53.20")
    assert owed["invoices"][0]["disputed"]["amount"] == "0.00"
    dispute = {"invoice_id": draft["id"], "position": 1, "amount": "10.00", "reason": "never ran"}
    await api.post("/disputes", dispute, expect=201)
    (owed,) = (await api.get("/reports/receivables"))["data"]
    assert (owed["due"]["amount"], owed["invoices"][0]["disputed"]["amount"]) == ("53.20", "10.00")
    assert await read_receivable(system) == 53_200_000
    bad = {"kind": "bad_debt", "invoice_id": draft["id"], "reason": "bankrupt"}
    await api.post("/adjustments", bad, expect=201)
    assert (await api.get("/reports/receivables"))["data"] == []
    assert await read_receivable(system) == 0
