"""Revenue from the ledger: what was deferred, sold, earned, lapsed and owed back comes to what is deferred now."""

import csv
import io
from typing import Any

from broker.ledger.service import expire_grant, list_grants_to_expire
from broker.system import System
from tests.broker.billing.invoicing import bill, read_money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.reports.finance_world import DECEMBER, NOVEMBER, TAXED, close, make_world, use
from tests.broker.running_jobs import HOUR

MOVED = ("opening", "sold", "recognised", "breakage", "refunded", "carried", "adjusted", "closing")
COLUMNS = (*MOVED, "by_usage", "revenue", "tax")


def told(row: Any) -> dict[str, str]:
    return {name: row[name]["amount"] for name in COLUMNS if row[name]["amount"] != "0.00"}


def fen(amount: Any) -> int:
    return int(amount["amount"].replace(".", ""))


async def test_an_advance_is_deferred_until_a_final_invoice_earns_it(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid", overage="contract", **TAXED)
    await use(system, customer, 100 * HOUR, 100)
    november = await api.get("/reports/revenue", month=NOVEMBER)
    assert told(november) == {"sold": "2600.00", "closing": "2600.00", "tax": "156.00"}
    clock.advance(days=25)
    await bill(api, customer, NOVEMBER)
    assert told(await api.get("/reports/revenue", month=NOVEMBER)) == {
        "sold": "2600.00",
        "recognised": "520.00",
        "closing": "2080.00",
        "by_usage": "0.01",  # 100 tokens
        "revenue": "520.01",
        "tax": "156.00",
    }, "final in December, of November's last day, which is open"
    december = await api.get("/reports/revenue", month=DECEMBER)
    assert told(december) == {"opening": "2080.00", "closing": "2080.00"}
    assert sum(fen(each["expected"]) for each in december["waterfall"]) == 208_000
    assert december["waterfall"][0]["month"] == DECEMBER, "under way: from today on"


async def test_what_is_adjusted_by_hand_is_a_movement_of_its_own(api: Api) -> None:
    """A month with an adjusted grant that was paid ahead could not be reported at all, which this guards against."""
    customer = await make_ready_customer(api, plan="prepaid", **TAXED)
    (grant,) = (await api.get("/grants", contract_id=customer.contract["id"]))["data"]
    for hours in (10, -4):
        adjusted = {"kind": "grant", "grant_id": grant["id"], "quantity": hours * HOUR, "reason": "Agreed by phone"}
        await api.post("/adjustments", adjusted, expect=201)
    report = await api.get("/reports/revenue", month=NOVEMBER)
    assert told(report) == {"sold": "2600.00", "adjusted": "31.20", "closing": "2631.20", "tax": "156.00"}


async def test_what_lapses_unused_is_earned_as_breakage(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-12-20T00:00:00Z", **TAXED)
    clock.advance(days=60)
    async with system.work() as work:
        for grant_id in await list_grants_to_expire(work):
            await expire_grant(work, grant_id)
    january = await api.get("/reports/revenue", month="2027-01", customer_id=customer.id)
    assert told(january) == {"opening": "2600.00", "breakage": "2600.00", "revenue": "2600.00"}
    assert january["waterfall"] == []


async def test_report_comes_to_the_balances_of_the_ledger(api: Api, system: System, clock: ManualClock) -> None:
    world = await make_world(api, system)
    await close(api, clock, world)
    reports = [await api.get("/reports/revenue", month=month) for month in (NOVEMBER, DECEMBER)]
    for report in reports:
        for name in COLUMNS:
            assert fen(report[name]) == sum(fen(row[name]) for row in report["data"])
        for row in report["data"]:
            moved = fen(row["sold"]) - fen(row["recognised"]) - fen(row["breakage"]) - fen(row["refunded"])
            assert fen(row["opening"]) + moved + fen(row["carried"]) + fen(row["adjusted"]) == fen(row["closing"])
    assert {row["contract_id"]: row["opening"] for row in reports[1]["data"] if fen(row["opening"])} == {
        row["contract_id"]: row["closing"] for row in reports[0]["data"] if fen(row["closing"])
    }
    for customer in world.all:
        await check_balances(system, customer, reports)
    for report in reports:
        await check_journal(api, report)


async def check_journal(api: Api, report: Any) -> None:
    """Check that a month earned what its journal says: both are told by the day of booking."""
    booked = dict.fromkeys(("2205", "2221", "6001", "6051"), 0)
    for line in (await api.get("/reports/journal", month=report["month"]))["data"]:
        if line["account_code"] in booked:
            booked[line["account_code"]] += fen(line["credit"]) - fen(line["debit"])
    assert booked == {
        "2205": fen(report["closing"]) - fen(report["opening"]),
        "2221": fen(report["tax"]),
        "6001": fen(report["revenue"]) - fen(report["breakage"]),
        "6051": fen(report["breakage"]),
    }


async def check_balances(system: System, customer: Customer, reports: list[Any]) -> None:
    money = await read_money(system, customer)
    rows = [row for report in reports for row in report["data"] if row["customer_id"] == customer.id]
    expected = {
        "deferred_revenue": fen(rows[-1]["closing"]),
        "tax": sum(fen(row["tax"]) for row in rows),
        "revenue": sum(fen(row["revenue"]) for row in rows),
    }
    for name, amount in expected.items():
        assert -int(money.get(name, "0.00").replace(".", "")) == amount, name


async def test_files_have_either_table(api: Api, system: System) -> None:
    await make_world(api, system)
    report = await api.get("/reports/revenue", month=NOVEMBER)
    for table, rows in (("contracts", report["data"]), ("waterfall", report["waterfall"])):
        params = {"month": NOVEMBER, "format": "csv", "table": table}
        answer = await api.call("GET", "/reports/revenue", expect=200, params=params)
        found = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
        assert len(found) == len(rows) > 0
        params["format"] = "xlsx"
        await api.call("GET", "/reports/revenue", expect=200, params=params)
