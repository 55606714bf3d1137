"""The margin report: job by job what was promised, used, charged and borne; for finance only; as on the invoices."""

import csv
import io
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, staff_key
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, report_usage, start_job

COLUMNS = ("actual", "charged", "borne")


async def start_capped(system: System, customer: Customer, cap_micros: int, **fields: Any) -> RunningJob:
    return await start_job(system, customer, quote_guarantee="cap", cap_micros=cap_micros, **fields)


def fen(amount: str) -> int:
    return int(amount.replace(".", ""))


@pytest.fixture
async def customers(api: Api, system: System) -> list[Customer]:
    """Beyond the cap on two plans, within it, stopped at a limit, and a job that was promised nothing."""
    on_demand = await make_ready_customer(api, quote_guarantee="cap")
    prepaid = await make_ready_customer(api, plan="prepaid", quote_guarantee="cap")
    pauses = await make_ready_customer(api)
    beyond = await start_capped(system, on_demand, 13_600_000)
    await report_usage(system, beyond, gpu_seconds=3 * HOUR, tokens=1000)
    within = await start_capped(system, on_demand, 13_600_000)
    await report_usage(system, within, gpu_seconds=HOUR)
    paid_ahead = await start_capped(system, prepaid, 5_200_000)
    await report_usage(system, paid_ahead, gpu_seconds=2 * HOUR)
    limited = await start_job(system, pauses, limit_micros=6_800_000)
    await report_usage(system, limited, gpu_seconds=HOUR)
    await report_usage(system, limited, gpu_seconds=36)
    free = await start_job(system, pauses)
    await report_usage(system, free, gpu_seconds=HOUR)
    return [on_demand, prepaid, pauses]


async def test_every_promised_job_is_listed_with_what_was_charged_and_borne(
    api: Api, customers: list[Customer]
) -> None:
    report = await api.get("/reports/margin", month="2026-11")
    rows = [
        (row["plan"], (row["quoted_cap"] or {}).get("amount"), *(row[name]["amount"] for name in COLUMNS))
        for row in report["data"]
    ]
    assert sorted(rows, key=str) == sorted(
        [
            ("on_demand", "13.60", "20.52", "13.60", "6.92"),
            ("on_demand", "13.60", "6.80", "6.80", "0.00"),
            ("on_demand", None, "6.87", "6.80", "0.07"),
            ("prepaid", "5.20", "10.40", "5.20", "5.20"),
        ],
        key=str,
    )
    assert [report[name]["amount"] for name in COLUMNS] == ["44.59", "32.40", "12.19"]
    assert report["borne_by_cause"] == {"over_promise": {"amount": "12.19", "currency": "CNY"}}
    for row in report["data"]:
        assert row["borne_by_cause"] == ({} if fen(row["borne"]["amount"]) == 0 else {"over_promise": row["borne"]})


async def test_charged_is_what_the_invoices_ask_for(api: Api, system: System, customers: list[Customer]) -> None:
    report = await api.get("/reports/margin", month="2026-11")
    for customer in customers:
        body = {"contract_id": customer.contract["id"], "month": "2026-11"}
        lines = (await api.post("/invoices", body, expect=201))["lines"]
        for row in report["data"]:
            if row["contract_id"] == customer.contract["id"]:
                used = [line for line in lines if (line["kind"], line["job_id"]) == ("usage", row["job_id"])]
                assert sum(fen(line["amount"]["amount"]) for line in used) == fen(row["charged"]["amount"])
    assert await broken_rules(system) == {}


async def test_house_s_part_is_in_no_cost_report(api: Api, customers: list[Customer]) -> None:
    costs = await api.get("/reports/monthly-cost", month="2026-11")
    assert costs["cost"]["amount"] == "39.20", "13.60 + 6.80 + 5.20 + 6.80 + 6.80"


async def test_csv_has_the_same_numbers_as_json(api: Api, customers: list[Customer]) -> None:
    rows = (await api.get("/reports/margin", month="2026-11"))["data"]
    answer = await api.call("GET", "/reports/margin", expect=200, params={"month": "2026-11", "format": "csv"})
    assert answer.headers["content-disposition"] == 'attachment; filename="margin-2026-11.csv"'
    table = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert len(table) == len(rows) == 4
    for row, cells in zip(rows, table, strict=True):
        assert {name: cells[name] for name in COLUMNS} == {name: row[name]["amount"] for name in COLUMNS}
        assert cells["borne_by_cause"] == "".join(
            f"{cause} {m['amount']}" for cause, m in row["borne_by_cause"].items()
        )
        assert cells["quoted_cap"] == (row["quoted_cap"] or {"amount": ""})["amount"]
        assert (cells["job_id"], cells["month"], cells["currency"]) == (row["job_id"], "2026-11", "CNY")


async def test_each_month_has_its_own_part_of_a_job(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, quote_guarantee="cap")
    job = await start_capped(system, customer, 6_800_000)
    await report_usage(system, job, gpu_seconds=HOUR // 2)
    clock.advance(days=25)
    await report_usage(system, job, gpu_seconds=HOUR)
    months = []
    for month in ("2026-11", "2026-12"):
        (row,) = (await api.get("/reports/margin", month=month))["data"]
        months.append([row[name]["amount"] for name in COLUMNS])
    assert months == [["3.40", "3.40", "0.00"], ["6.80", "3.40", "3.40"]]


async def test_margin_is_for_finance_and_the_administrator_only(api: Api, customers: list[Customer]) -> None:
    async with Api.connect(api.app, await staff_key(api, "finance")) as finance:
        assert len((await finance.get("/reports/margin", month="2026-11"))["data"]) == 4
    async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
        await ops.get("/reports/margin", month="2026-11", expect=403)
    async with customer_api(api, customers[0].id) as own:
        await own.get("/reports/margin", month="2026-11", expect=403)


async def test_month_without_usage_is_an_empty_report(api: Api) -> None:
    report = await api.get("/reports/margin", month="2026-10")
    assert (report["data"], report["borne"]["amount"]) == ([], "0.00")
    problem = await api.get("/reports/margin", month="2026-13", expect=422)
    assert problem["errors"][0]["field"] == "month"
