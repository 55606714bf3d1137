"""Commitments: what each contract's own questions answer, all in one report, and when what is left runs out."""

import csv
import io
from datetime import timedelta

from broker.reports.commitments.report import report_commitments
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.http.test_paging import counted
from tests.broker.reports.finance_world import use
from tests.broker.running_jobs import HOUR


async def test_report_says_what_each_contract_says_of_itself(api: Api, system: System, clock: ManualClock) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid", overage="contract")
    long_term = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    await make_ready_customer(api)
    for hours in (20, 30, 40):
        await use(system, prepaid, hours * HOUR, 0)
        await use(system, long_term, 10 * HOUR, 0)
        clock.advance(days=7)
    report = await api.get("/reports/commitments")
    rows = {row["plan"]: row for row in report["data"]}
    assert set(rows) == {"prepaid", "long_term"}, "on demand commits to nothing"
    for customer, row in ((prepaid, rows["prepaid"]), (long_term, rows["long_term"])):
        own = await api.get(f"/contracts/{customer.contract['id']}/commitment")
        for name in ("committed_gpu_hours", "used_gpu_hours", "expected_gpu_hours", "expected_true_up"):
            assert row[name] == own[name], name
        assert row["attained_percent"] == own["used_percent"]
        (hours, *_tokens) = (await api.get(f"/contracts/{customer.contract['id']}/coverage"))["meters"]
        assert (row["used_percent"], row["covered_percent"]) == (hours["used_percent"], hours["covered_percent"])
    assert (rows["prepaid"]["left_gpu_hours"], rows["long_term"]["left_gpu_hours"]) == ("410.0000", "1970.0000")
    assert (rows["prepaid"]["weeks"], rows["prepaid"]["pace_p50"]) == (4, "25.0000")
    ends = [rows["prepaid"][f"exhausted_{when}"] for when in ("earliest", "expected", "latest")]
    assert ends == sorted(ends)
    assert ends[1].startswith("2027-03-25"), "410 hours at 25 a week, the first of four without any, are 115 days"


async def test_grants_that_end_soon_are_told_with_what_will_lapse(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2027-01-09T04:00:00Z")
    await use(system, customer, 100 * HOUR, 0)
    clock.advance(days=30)
    (grant,) = (await api.get("/reports/commitments", days=60))["grants"]
    assert (grant["left"], grant["used_percent"]) == (400 * HOUR, "20.0")
    assert (await api.get("/reports/commitments", days=10))["grants"] == []
    async with customer_api(api, customer.id) as own:
        report = await own.get("/reports/commitments", days=60)
        assert [row["customer_id"] for row in report["data"]] == [customer.id]
    for table, columns in (("contracts", "attained_percent"), ("grants", "unused_at_end")):
        params = {"format": "csv", "table": table, "days": 60}
        answer = await api.call("GET", "/reports/commitments", expect=200, params=params)
        (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
        assert row[columns]
        await api.call("GET", "/reports/commitments", expect=200, params={**params, "format": "xlsx"})


async def test_statements_do_not_grow_with_the_contracts(api: Api, system: System) -> None:
    counts = []
    for _ in range(2):
        await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
        async with system.work() as work:
            with counted(system) as statements:
                await report_commitments(work, timedelta(days=90))
        counts.append(len(statements))
    assert counts[0] == counts[1]
