"""Reports by the command: as a table, as JSON, and as a file for a spreadsheet."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from broker.cli.failures import ExitCode
from broker.cli.remote.finance_reports import make_commitment_row, make_pool_row
from broker.cli.remote.reports import make_week_row
from broker.client.typed import BrokerClient
from tests.broker.cli.conftest import Run
from tests.broker.served import Buyer

SHANGHAI = ZoneInfo("Asia/Shanghai")  # the zone of billing months where a contract says none


def test_a_month_s_cost_is_shown_and_written(customer_run: Run, buyer: Buyer, tmp_path: Path) -> None:
    month = f"{datetime.now(SHANGHAI):%Y-%m}"
    assert "GPU-hours" in customer_run("reports", "monthly-cost", month).stdout
    report = json.loads(customer_run("reports", "monthly-cost", month, "--json").stdout)
    assert {row["customer_id"] for row in report["data"]} <= {buyer.customer_id}
    file = tmp_path / "cost.csv"
    assert customer_run("reports", "monthly-cost", month, "-o", str(file)).exit_code == 0
    assert "gpu_cost" in file.read_text(encoding="utf-8-sig")
    assert customer_run("reports", "monthly-cost", "November").exit_code == ExitCode.REFUSED


def test_plan_advice_is_shown_with_what_each_plan_would_have_cost(
    run: Run, customer_run: Run, admin: BrokerClient, tmp_path: Path
) -> None:
    customer = admin.post("/customers", {"name": "Steady Tea"})
    begin = (datetime.now(UTC) - timedelta(days=70)).isoformat()
    admin.post("/contracts", {"customer_id": customer["id"], "plan": "on_demand", "starts_at": begin})
    shown = run("reports", "plan-advice", "--customer", customer["id"])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[1].split()[:2] == ["on_demand", "0"]
    assert lines[1].split()[-2:] == ["advised,", "present"]
    assert any("382.35" in line for line in lines)
    file = tmp_path / "advice.csv"
    asked = ("reports", "plan-advice", "--customer", customer["id"], "--months", "1")
    assert run(*asked, "-o", str(file)).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert [row["plan"] for row in rows if row["advised"] == "True"] == ["on_demand"]
    refused = customer_run("reports", "plan-advice", "--customer", customer["id"])
    assert refused.exit_code == ExitCode.REFUSED


def test_receivables_are_shown_by_age(run: Run, admin: BrokerClient) -> None:
    customer = admin.post("/customers", {"name": "Prepaid Tea"})
    admin.post("/contracts", {"customer_id": customer["id"], "plan": "prepaid", "committed_gpu_hours": 500})
    shown = run("reports", "receivables", "--customer", customer["id"], COLUMNS="120")
    assert shown.exit_code == 0, shown.output
    heads, row = shown.stdout.splitlines()
    assert "over 90" in heads
    assert row.split() == ["Prepaid", "Tea", "2600.00", "2600.00", "0.00", "0.00", "0.00", "0.00"]


def test_starts_that_were_told_are_judged_by_week() -> None:
    week = {"week": "2026-11-23", "promised": 12, "decided": 10, "by_p50": 5, "by_p90": 9, "slipped": 1}
    judged = {**week, "coverage_p50": "0.5000", "coverage_p90": "0.9000", "median_error_seconds": -35}
    assert make_week_row(judged) == ["2026-11-23", "12", "10", "5 (50%)", "9 (90%)", "1", "-35 s"]
    nothing = dict.fromkeys(("coverage_p50", "coverage_p90", "median_error_seconds"))
    assert make_week_row({**week, **nothing})[-1] == "-"


def test_no_start_was_told_in_these_weeks(run: Run, customer_run: Run) -> None:
    assert "No job that waited" in run("reports", "start-accuracy", "--queue", "priority").stdout
    assert json.loads(run("reports", "start-accuracy", "--json").stdout)["object"] == "start_accuracy"
    assert customer_run("reports", "start-accuracy").exit_code == ExitCode.REFUSED


def test_finance_sees_revenue_commitments_and_pools_and_exports_invoices(
    run: Run, customer_run: Run, admin: BrokerClient, tmp_path: Path
) -> None:
    customer = admin.post("/customers", {"name": "Deferred Tea"})
    admin.post("/contracts", {"customer_id": customer["id"], "plan": "prepaid", "committed_gpu_hours": 500})
    month = f"{datetime.now(SHANGHAI):%Y-%m}"
    shown = run("reports", "revenue", month, "--customer", customer["id"], COLUMNS="160").stdout.splitlines()
    assert shown[1].split()[:2] == ["Deferred", "Tea"]
    assert shown[2].split() == ["total", "0.00", "2600.00", *["0.00"] * 5, "2600.00", "0.00", "0.00"]
    committed = run("reports", "commitments", "--customer", customer["id"], COLUMNS="160").stdout.splitlines()
    assert committed[1].split()[2:7] == ["prepaid", "500.0000", "0.0000", "0.0", "0.0000"]
    assert run("reports", "pool-margin", month).exit_code == 0
    assert run("reports", "cost-rate", "nobody", "2.35", "2026-11-01").exit_code == ExitCode.REFUSED
    book = tmp_path / "revenue.xlsx"
    assert run("reports", "revenue", month, "-o", str(book)).exit_code == 0
    assert book.read_bytes().startswith(b"PK")
    file = tmp_path / "focus.csv"
    assert run("reports", "focus", month, "--customer", customer["id"], "-o", str(file)).exit_code == 0
    (row,) = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")))
    assert (row["BilledCost"], row["ChargeCategory"]) == ("2600.00", "Purchase")
    assert customer_run("reports", "revenue", month).exit_code == ExitCode.REFUSED


def test_what_nobody_can_say_is_a_dash() -> None:
    ends = dict.fromkeys(("exhausted_earliest", "exhausted_expected", "exhausted_latest"))
    hours = {"committed_gpu_hours": "1", "used_gpu_hours": "0", "left_gpu_hours": "1", "attained_percent": None}
    row = {"customer": "a\nb", "plan": "long_term", "ends_at": "2027-01-01T00:00:00Z", **ends, **hours}
    told = make_commitment_row({**row, "expected_true_up": {"amount": "4.00"}})
    assert told == ["a b", "long_term", "1", "0", "-", "1", "-", "-", "-", "2027-01-01", "4.00"]
    costs = dict.fromkeys(("used_cost", "idle_cost", "margin")) | {"charged": {"amount": "1"}, "borne": {"amount": "2"}}
    pool = {"pool": None, "gpu_type": None, "used_gpu_hours": "3", "idle_gpu_hours": "0", **costs}
    assert make_pool_row(pool) == ["from outside", "-", "3", "0", "1", "2", "-", "-", "-"]
