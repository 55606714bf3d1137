"""The monthly cost report: the invoices' numbers again, by project, as JSON and as CSV, each to its own customer."""

import csv
import io

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, staff_key
from tests.broker.reports.finance_world import make_project, use
from tests.broker.running_jobs import HOUR, report_usage, start_job


async def read_csv(api: Api, month: str = "2026-11") -> list[dict[str, str]]:
    answer = await api.call("GET", "/reports/monthly-cost", expect=200, params={"month": month, "format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="monthly-cost-{month}.csv"'
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def fen(amount: str) -> int:
    return int(amount.replace(".", ""))


@pytest.fixture
async def customers(api: Api, system: System) -> list[Customer]:
    """Three plans, two projects, a job without one, usage beyond a grant, odd amounts."""
    on_demand = await make_ready_customer(api)
    prepaid = await make_ready_customer(api, plan="prepaid", overage="contract")
    long_term = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    tone = await make_project(api, prepaid, "brand-tone")
    await use(system, on_demand, 95, 12_841)
    await use(system, prepaid, 37, 41, project_id=tone)
    await use(system, prepaid, 501 * HOUR, 43, project_id=tone)
    await use(system, prepaid, 7, 1)
    await use(system, long_term, 1234, 250)
    return [on_demand, prepaid, long_term]


async def test_report_is_the_sum_of_the_invoices_lines(api: Api, customers: list[Customer]) -> None:
    report = await api.get("/reports/monthly-cost", month="2026-11")
    for customer in customers:
        body = {"contract_id": customer.contract["id"], "month": "2026-11"}
        lines = (await api.post("/invoices", body, expect=201))["lines"]
        rows = [row for row in report["data"] if row["contract_id"] == customer.contract["id"]]
        for meter, cost in (("gpu_seconds", "gpu_cost"), ("tokens", "token_cost")):
            used = [line for line in lines if line["kind"] == "usage" and line["meter"] == meter]
            assert sum(fen(row[cost]["amount"]) for row in rows) == sum(fen(line["amount"]["amount"]) for line in used)
            assert sum(row[meter] for row in rows) == sum(line["quantity"] for line in used)
        assert sum(fen(row["due"]["amount"]) for row in rows) == sum(fen(line["amount"]["amount"]) for line in lines)
    for name in ("cost", "advance", "due"):
        assert fen(report[name]["amount"]) == sum(fen(row[name]["amount"]) for row in report["data"])


async def test_report_splits_a_contract_by_project(api: Api, customers: list[Customer]) -> None:
    rows = (await api.get("/reports/monthly-cost", month="2026-11"))["data"]
    prepaid = {row["project"]: row for row in rows if row["plan"] == "prepaid"}
    assert {name: row["jobs"] for name, row in prepaid.items()} == {"brand-tone": 2, None: 1}
    assert (
        prepaid["brand-tone"]["advance"]["amount"] == "2594.85"
    )  # 499 h and 37 s: one hour is still held by the first job
    assert prepaid["brand-tone"]["cost"]["amount"] == "2605.26", "a fen of tokens, of which no job has a whole one"


async def test_report_of_one_customer_or_contract_is_that_part_of_the_whole(
    api: Api, customers: list[Customer]
) -> None:
    whole = (await api.get("/reports/monthly-cost", month="2026-11"))["data"]
    for customer in customers:
        own = [row for row in whole if row["customer_id"] == customer.id]
        for wanted in ({"customer_id": customer.id}, {"contract_id": customer.contract["id"]}):
            part = await api.get("/reports/monthly-cost", month="2026-11", **wanted)
            assert part["data"] == own
            assert fen(part["due"]["amount"]) == sum(fen(row["due"]["amount"]) for row in own)
    for nobody in ({"customer_id": "cus_x"}, {"contract_id": "con_x"}):
        await api.get("/reports/monthly-cost", expect=404, month="2026-11", **nobody)


async def test_csv_has_the_same_numbers_as_json(api: Api, customers: list[Customer]) -> None:
    rows = (await api.get("/reports/monthly-cost", month="2026-11"))["data"]
    table = await read_csv(api)
    assert len(table) == len(rows) == 4
    for row, cells in zip(rows, table, strict=True):
        assert (cells["month"], cells["currency"]) == ("2026-11", "CNY")
        for name in cells.keys() - {"month", "currency"}:
            told = row[name]["amount"] if isinstance(row[name], dict) else row[name]
            assert cells[name] == ("" if told is None else str(told)), name


async def test_customer_sees_only_its_own_rows(api: Api, customers: list[Customer]) -> None:
    for customer in customers:
        async with customer_api(api, customer.id) as own:
            report = await own.get("/reports/monthly-cost", month="2026-11")
            assert {row["customer_id"] for row in report["data"]} == {customer.id}
            assert {row["customer_id"] for row in await read_csv(own)} == {customer.id}
            assert fen(report["due"]["amount"]) == sum(fen(row["due"]["amount"]) for row in report["data"])


async def test_ops_has_no_business_with_money(api: Api) -> None:
    async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
        await ops.get("/reports/monthly-cost", month="2026-11", expect=403)


async def test_names_that_a_spreadsheet_would_calculate_are_defused(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1"]
    for name in names:
        await use(system, customer, 10, 10, project_id=await make_project(api, customer, name))
    assert sorted(row["project"] for row in await read_csv(api)) == sorted(f"'{name}" for name in names)


async def test_name_with_commas_and_quotes_comes_back_whole(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    name = '茶, "tea"; 品牌'
    await use(system, customer, 10, 10, project_id=await make_project(api, customer, name))
    (row,) = await read_csv(api)
    assert row["project"] == name


async def test_spreadsheet_sees_that_the_csv_is_utf_8(api: Api, system: System) -> None:
    """Excel took it for the encoding of its locale: 品牌 came out as mojibake."""
    customer = await make_ready_customer(api)
    await use(system, customer, 10, 10, project_id=await make_project(api, customer, "品牌"))
    for report in ("monthly-cost", "margin"):
        params = {"month": "2026-11", "format": "csv"}
        answer = await api.call("GET", f"/reports/{report}", expect=200, params=params)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.content.startswith(b"\xef\xbb\xbfmonth,"), report
        assert answer.content.count(b"\xef\xbb\xbf") == 1, report
    assert (await read_csv(api))[0]["project"] == "品牌"


async def test_month_without_usage_is_an_empty_report(api: Api) -> None:
    report = await api.get("/reports/monthly-cost", month="2026-10")
    assert (report["data"], report["due"]["amount"], report["cost"]["amount"]) == ([], "0.00", "0.00")
    assert await read_csv(api, "2026-10") == []


async def test_what_is_no_month_is_refused(api: Api) -> None:
    for month in ("2026-13", "0000-01", "2026-1", "2026", "2026-11\n"):
        problem = await api.get("/reports/monthly-cost", month=month, expect=422)
        assert problem["errors"][0]["field"] == "month", month


async def test_report_of_a_closed_month_stays_as_its_invoice(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    await report_usage(system, job, gpu_seconds=HOUR)
    ended = clock.now
    clock.advance(days=25)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    await api.post(f"/invoices/{draft['id']}/finalize")
    await report_usage(system, job, gpu_seconds=HOUR, ended_at=ended)
    november = await api.get("/reports/monthly-cost", month="2026-11")
    december = await api.get("/reports/monthly-cost", month="2026-12")
    assert (november["due"]["amount"], december["due"]["amount"]) == ("6.80", "6.80")
