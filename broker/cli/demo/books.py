"""The demo's closing of the books: ledger, invoices, monthly report."""

import asyncio
import csv
import io
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from broker.cli.demo.stage import Stage
from broker.cli.demo.world import DemoCustomer
from broker.client.typed import BrokerClient
from broker.clock import billing_month
from broker.processes.boot import database_urls
from broker.reports.verify import verify_database

REPORT_COLUMNS = ("customer", "plan", "jobs", "gpu_hours", "tokens", "gpu_cost", "token_cost", "cost", "due")
METERS = {"gpu_seconds": "GPU-seconds", "tokens": "tokens"}
HEADINGS = ("customer", "plan", "jobs", "GPU-h", "tokens", "¥ GPU", "¥ tok", "¥ cost", "¥ due")


def present_month(stage: Stage) -> str:
    return billing_month(datetime.now(UTC), stage.settings.time_zone)


def verify_books(stage: Stage) -> None:
    """Check that every rule of the ledger holds. Raises: StepFailed."""
    with database_urls(stage.settings) as urls:
        results = asyncio.run(verify_database(urls.app))
    broken = [f"{result.rule}: {result.broken}" for result in results if result.broken]
    stage.check(not broken, f"the ledger verifies: {len(results)} rules hold {broken or ''}")


def show_invoice(stage: Stage, finance: BrokerClient, customer: DemoCustomer, job_ids: list[str]) -> dict[str, Any]:
    """Draft and show the month's invoice; check that it has a line for each meter of each job. Raises: StepFailed."""
    invoice: dict[str, Any] = finance.post(
        "/invoices", {"contract_id": customer.contract["id"], "month": present_month(stage)}
    )
    table = Table(
        "line", "GPU-hours / tokens", "unit price", "CNY", title=f"{customer.name}, {invoice['month']} (draft)"
    )
    for line in invoice["lines"]:
        quantity = line["gpu_hours"] or str(line["quantity"])
        table.add_row(line["description"], quantity, line["unit_price"], line["amount"]["amount"])
    table.add_row("total due", "", "", invoice["total"]["amount"], style="bold")
    stage.console.print(table)
    billed = {(line["job_id"], line["meter"]) for line in invoice["lines"]}
    wanted = {(job_id, meter) for job_id in job_ids for meter in ("gpu_seconds", "tokens")}
    stage.check(wanted <= billed, "GPU-hours and tokens of every job of this run are on the invoice")
    prices = {line["meter"]: line["unit_price"] for line in invoice["lines"]}
    stage.check(prices == {"gpu_seconds": "5.2", "tokens": "0.00009"}, "at the contract's rates: 5.2 and 0.00009")
    return invoice


def reconcile_jobs(stage: Stage, customer: DemoCustomer, invoice: dict[str, Any], job_ids: list[str]) -> None:
    """Show who pays for what the jobs trained; check that it is all charged or borne. Raises: StepFailed."""
    table = Table("job", "meter", "trained", "charged", "on us", title="Who pays for what was trained")
    for job in [customer.client.get_job(job_id) for job_id in job_ids]:
        seconds = job["used_gpu_seconds"], job["charged_gpu_seconds"], job["borne_gpu_seconds"]
        tokens = job["used_tokens"], job["charged_tokens"], job["borne_tokens"]
        for meter, counts in (("gpu_seconds", seconds), ("tokens", tokens)):
            table.add_row(job["id"], METERS[meter], *[f"{count:,}" for count in counts])
            _check_payers(stage, invoice, job["id"], meter, counts)
        for lost in job["lost_work"]:
            stage.console.print(f"  {lost['explanation']}")
    stage.console.print(table)


def _check_payers(stage: Stage, invoice: dict[str, Any], job_id: str, meter: str, counts: tuple[int, int, int]) -> None:
    trained, charged, borne = counts
    told = f"{trained:,} {METERS[meter]} trained = {charged:,} charged + {borne:,} on us"
    wanted = ("usage", job_id, meter)
    own = (line for line in invoice["lines"] if (line["kind"], line["job_id"], line["meter"]) == wanted)
    billed = sum(line["quantity"] for line in own)
    stage.check(trained == charged + borne and billed == charged, f"{told}, as invoiced")


def show_report(stage: Stage, finance: BrokerClient, invoice: dict[str, Any]) -> None:
    """Show the monthly cost report; check that JSON, CSV and the invoice give the same numbers. Raises: StepFailed."""
    month = present_month(stage)
    report = finance.get("/reports/monthly-cost", month=month)
    text = finance.get_text("/reports/monthly-cost", month=month, format="csv").removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text)))
    table = Table(*HEADINGS, title=f"Monthly cost {month}, as of {report['as_of']}")
    for row in report["data"]:
        table.add_row(*[write_cell(row[name]) for name in REPORT_COLUMNS])
    table.add_row("total", *[""] * 6, report["cost"]["amount"], report["due"]["amount"], style="bold")
    stage.console.print(table)
    as_json = [[write_cell(row[name]) for name in REPORT_COLUMNS] for row in report["data"]]
    stage.check(as_json == [[row[name] for name in REPORT_COLUMNS] for row in rows], "JSON and CSV say the same")
    due = sum(_fen(row["due"]["amount"]) for row in report["data"] if row["contract_id"] == invoice["contract_id"])
    stage.check(due == _fen(invoice["total"]["amount"]), "the report's due is the invoice's total")


def write_cell(value: Any) -> str:
    """Write a value of the report as its CSV has it: what there is none of is empty, and nought is a number."""
    told = value["amount"] if isinstance(value, dict) else value
    return "" if told is None else str(told)


def _fen(amount: str) -> int:
    yuan, _, fen = amount.partition(".")
    return int(yuan) * 100 + int(fen)
