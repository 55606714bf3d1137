"""What a month costs, by whatever it is grouped: the same sums, and those of the invoices, open or closed."""

import csv
import io
from itertools import chain, combinations
from typing import Any

from broker.reports.costs.costs import Costs
from broker.reports.costs.grouping import Dimension, Filters, find_columns, group_facts
from broker.reports.costs.reading import Asked
from broker.reports.costs.report import add_costs, list_facts
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.reports.finance_world import NOVEMBER, FinanceWorld, close, make_world
from tests.broker.reports.sheets import read_sheet
from tests.broker.running_jobs import broken_rules

EVERY_GROUPING = list(chain.from_iterable(combinations(Dimension, count) for count in range(len(Dimension) + 1)))


async def read_sums(system: System, *, by_gpu_type: bool) -> Costs:
    async with system.work() as work:
        facts = await list_facts(work, Asked(NOVEMBER, by_gpu_type=by_gpu_type))
    totals = {
        grouping: add_costs([costs for costs, _final in group_facts(facts, find_columns(grouping), Filters()).values()])
        for grouping in EVERY_GROUPING
    }
    assert len(set(totals.values())) == 1, "a grouping loses or invents something"
    return totals[()]


async def read_drafts(api: Api, world: FinanceWorld) -> list[Any]:
    bodies = [{"contract_id": customer.contract["id"], "month": NOVEMBER} for customer in world.all]
    return [await api.post("/invoices", body, expect=201) for body in bodies]


def fen(amount: Any) -> int:
    return int(amount["amount"].replace(".", ""))


def sum_kind(invoices: list[Any], kind: str) -> int:
    lines = [line for invoice in invoices for line in invoice["lines"] if line["kind"] == kind]
    return 10_000 * sum(fen(line["amount"]) for line in lines)


async def test_every_grouping_has_the_same_sums_and_those_are_the_invoices(
    api: Api, system: System, clock: ManualClock
) -> None:
    world = await make_world(api, system)
    clock.advance(days=11)  # the commitment is over: its true-up is owed
    drafts = await read_drafts(api, world)
    plain, typed = await read_sums(system, by_gpu_type=False), await read_sums(system, by_gpu_type=True)
    assert plain == Costs(**{name: getattr(typed, name) for name in plain.__slots__} | {"jobs": plain.jobs})
    assert plain.due == 10_000 * sum(fen(draft["total"]) for draft in drafts)
    told = (plain.cost, -plain.advance, plain.tier_settlement, plain.true_up, plain.tax)
    assert told == tuple(sum_kind(drafts, kind) for kind in ("usage", "advance", "tier_settlement", "true_up", "tax"))
    assert all(told), "each is there to be compared"
    listed = [line["list_amount"] for draft in drafts for line in draft["lines"] if line["kind"] == "usage"]
    assert plain.listed == 10_000 * sum(map(fen, listed))
    assert plain.purchased == 2756 * 1_000_000, "500 h at 5.20, and 6 % tax"
    clock.advance(days=14)
    for draft in drafts:
        await api.post(f"/invoices/{draft['id']}/finalize")
    assert await read_sums(system, by_gpu_type=False) == plain, "a closed month is what it was as it ended"
    assert await read_sums(system, by_gpu_type=True) == typed
    assert await broken_rules(system) == {}


async def test_hours_are_told_apart_by_the_type_that_they_ran_on(api: Api, system: System, clock: ManualClock) -> None:
    await make_world(api, system)
    report = await api.get("/reports/monthly-cost", month=NOVEMBER, group_by="plan,gpu_type")
    rows = {(row["plan"], row["gpu_type"]): (row["gpu_seconds"], row["jobs"]) for row in report["data"]}
    assert rows["on_demand", "A100-80G"] == (95, 1)
    assert rows["prepaid", "H100-80G"] == (501 * 3600, 1)
    assert rows["prepaid", None] == (44, 2)
    only = await api.get("/reports/monthly-cost", month=NOVEMBER, gpu_type="A100-80G")
    assert [(row["gpu_type"], row["gpu_seconds"]) for row in only["data"]] == [(None, 95)], "a filter alone"
    assert fen(only["list_cost"]) == fen(only["cost"]), "on demand saves nothing"


async def test_what_the_house_bore_is_told_beside_what_is_charged(api: Api, system: System) -> None:
    world = await make_world(api, system)
    report = await api.get("/reports/monthly-cost", month=NOVEMBER, customer_id=world.capped.id)
    margin = await api.get("/reports/margin", month=NOVEMBER)
    borne = [row["borne"] for row in margin["data"] if row["customer_id"] == world.capped.id]
    assert fen(report["lost"]) == sum(map(fen, borne)) > 0


async def test_month_before_stands_beside_it(api: Api, system: System, clock: ManualClock) -> None:
    world = await make_world(api, system)
    await close(api, clock, world)
    december = await api.get("/reports/monthly-cost", month="2026-12", group_by="customer", month_over_month=True)
    november = await api.get("/reports/monthly-cost", month=NOVEMBER, group_by="customer")
    assert december["due_before"] == november["due"]
    assert {row["customer_id"]: row["due_before"] for row in december["data"]} == {
        row["customer_id"]: row["due"] for row in november["data"]
    }
    assert all(fen(row["due_change"]) == -fen(row["due_before"]) for row in december["data"])
    assert [row["final"] for row in november["data"]] == [True] * 4
    refused = await api.get("/reports/monthly-cost", month=NOVEMBER, group_by="plan,colour", expect=422)
    assert refused["errors"][0]["field"] == "group_by"


async def test_credit_notes_stand_in_the_month_of_their_issue(api: Api, system: System, clock: ManualClock) -> None:
    invoice = (await close(api, clock, await make_world(api, system)))[1]
    lines = [{"position": 1, "amount": "0.01"}]
    note = await api.post("/credit-notes", {"invoice_id": invoice["id"], "reason": "x", "lines": lines}, expect=201)
    november, december = [await api.get("/reports/monthly-cost", month=month) for month in (NOVEMBER, "2026-12")]
    assert (november["credited"]["amount"], december["credited"]) == ("0.00", note["total"])


async def test_statements_are_as_many_for_four_customers_as_for_two(
    api: Api, system: System, clock: ManualClock
) -> None:
    await close(api, clock, await make_world(api, system))
    async with system.work() as work:
        with counted(system) as few:
            await list_facts(work, Asked(NOVEMBER, customer_id="cus_none"))
        with counted(system) as many:
            await list_facts(work, Asked(NOVEMBER))
    assert len(many) - len(few) <= 3, "terms of amended contracts and of who bought ahead"


async def test_workbook_has_numbers_where_the_report_has_them(api: Api, system: System) -> None:
    await make_world(api, system)
    params = {"month": NOVEMBER, "format": "xlsx"}
    answer = await api.call("GET", "/reports/monthly-cost", expect=200, params=params)
    assert answer.headers["content-disposition"] == 'attachment; filename="monthly-cost-2026-11.xlsx"'
    sheet = read_sheet(answer.content)
    assert sheet.is_frozen
    assert sheet.rows[0][:3] == ["账期", "客户编号", "客户"]
    place = sheet.rows[0].index("应付金额")
    report = await api.get("/reports/monthly-cost", month=NOVEMBER)
    assert [row[place] for row in sheet.rows[1:]] == [float(row["due"]["amount"]) for row in report["data"]]
    english = await api.call("GET", "/reports/monthly-cost", expect=200, params={**params, "language": "en"})
    assert read_sheet(english.content).rows[0][0] == "month"
    for accepted, head in (("en-GB,zh;q=0.5", "month"), ("fr", "账期")):
        headers = {"Accept-Language": accepted}
        asked = await api.call("GET", "/reports/monthly-cost", expect=200, params=params, headers=headers)
        assert read_sheet(asked.content).rows[0][0] == head


async def test_csv_has_every_row(api: Api, system: System) -> None:
    await make_world(api, system)
    asked = {"month": NOVEMBER, "group_by": "contract_number"}
    answer = await api.call("GET", "/reports/monthly-cost", expect=200, params={**asked, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    report = await api.get("/reports/monthly-cost", **asked)
    assert [row["due"] for row in rows] == [row["due"]["amount"] for row in report["data"]]
    assert {row["customer_id"] for row in rows} == {""}, "a number may be of several customers"
