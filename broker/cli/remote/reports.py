"""`broker reports`: what a month has cost, what is owed, which plan to sign next, how good expected starts were.

Those for finance alone are in `finance_reports.py`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.output import make_console, one_line, write_json
from broker.cli.remote import finance_reports
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.report_files import fetch_report
from broker.cli.texts.columns import Column
from broker.cli.words import say, translate

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Reports: what a month has cost, what is owed, which plan to sign next, how good expected starts were.",
)

Customer = Annotated[str | None, typer.Option("--customer", help="The customer's id; a customer sees its own.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write it into this file, as XLSX where its name ends so, or else as CSV; one that is there is replaced.",
    ),
]
GroupBy = Annotated[
    str, typer.Option("--group-by", help="Of customer, contract, contract_number, plan, project, gpu_type.")
]
ContractNumber = Annotated[str | None, typer.Option("--contract-number", help="Only of these contracts.")]
MonthOverMonth = Annotated[bool, typer.Option("--month-over-month", help="Beside the month before.")]
# A contract's months follow its own time zone; this is that of most, and it only chooses which month is shown first.
BILLING_ZONE = timezone(timedelta(hours=8))
PLACES = {
    "customer": "customer",
    "contract": "contract_id",
    "contract_number": "contract_number",
    "plan": "plan",
    "project": "project",
    "gpu_type": "gpu_type",
}
COSTS = ("jobs", "GPU-hours", "tokens", "list", "cost", "due")
AGES = {
    "not_due": "not due",
    "days_1_to_30": "1 to 30 days",
    "days_31_to_60": "31 to 60",
    "days_61_to_90": "61 to 90",
    "days_over_90": "over 90",
}
DEBTS = (Column("customer"), *(Column(name, right=True) for name in ("due", *AGES.values())))
OPTIONS = (
    Column("plan"),
    *(
        Column(name, right=True)
        for name in ("hours a year", "cost", "of it unused", "saving", "worst case", "regret", "pays from")
    ),
    Column(""),
)
STARTS = (
    Column("week"),
    *(Column(name, right=True) for name in ("told", "judged", "by p50", "by p90", "later told", "median error")),
)
SAVINGS = ("saving", "worst_case", "regret")
PAYS_FROM = "break_even_gpu_hours"


@app.command("monthly-cost")
def show_monthly_cost(
    month: Annotated[str, typer.Argument(help="The billing month, as 2026-11.")],
    group_by: GroupBy = "customer,contract,project",
    customer_id: Customer = None,
    contract_number: ContractNumber = None,
    month_over_month: MonthOverMonth = False,
    output: Output = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what a billing month costs, by customer, contract and project or as asked; costs are in CNY.

    A month whose invoices are final stays as they say; another is as of now.
    """
    asked: dict[str, Any] = {"month": month, "group_by": group_by, "customer_id": customer_id}
    asked |= {"contract_number": contract_number, "month_over_month": month_over_month or None}
    with connect(url, key) as client:
        report = fetch_report(client, "monthly-cost", asked, output, as_json=as_json)
    if report is not None:
        places = [name for name in PLACES if name in report["group_by"]]
        rows = report["data"] if as_json else [*report["data"], {**report, "due_change": None, "total": True}]
        columns = [*map(Column, places), *(Column(name, right=True) for name in (*COSTS, "change"))]
        write_table(
            {"data": rows, "next_cursor": None} if not as_json else report,
            columns,
            partial(make_cost_row, places),
            as_json=as_json,
        )


def show_report(
    month: Annotated[str | None, typer.Argument(help="The billing month, as 2026-11; default: that under way.")] = None,
    group_by: GroupBy = "customer,contract,project",
    customer_id: Customer = None,
    contract_number: ContractNumber = None,
    month_over_month: MonthOverMonth = False,
    output: Output = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what a month costs: the one under way, or the one that is named."""
    named = month or f"{datetime.now(BILLING_ZONE):%Y-%m}"
    show_monthly_cost(
        named, group_by, customer_id, contract_number, month_over_month, output, as_json=as_json, url=url, key=key
    )


def make_cost_row(places: Sequence[str], row: dict[str, Any]) -> list[str]:
    """Make the line of a row of costs, or of their total: where it belongs, and what it comes to."""
    names = [one_line(row[PLACES[name]] or "-") if "total" not in row else "" for name in places]
    names[0] = translate("total") if "total" in row else names[0]
    counts = [str(row["jobs"]), row["gpu_hours"], f"{row['tokens']:,}"]
    change = row["due_change"]["amount"] if row["due_change"] else "-"
    return [*names, *counts, *(row[name]["amount"] for name in ("list_cost", "cost", "due")), change]


@app.command("receivables")
def show_receivables(
    customer_id: Customer = None, output: Output = None, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Show what is owed of final invoices now, by how long it is overdue."""
    asked = {"customer_id": customer_id}
    with connect(url, key) as client:
        report = fetch_report(client, "receivables", asked, output, as_json=as_json)
    if report is not None:
        write_table(report, DEBTS, _make_debt_row, as_json=as_json)


def _make_debt_row(owed: dict[str, Any]) -> list[str]:
    amounts = [owed["due"], *(owed["by_age"][age] for age in AGES)]
    return [one_line(owed["customer"]), *(each["amount"] for each in amounts)]


@app.command("plan-advice")
def show_plan_advice(
    customer_id: Customer = None,
    months: Annotated[int, typer.Option("--months", help="By so many whole months, the last ones.")] = 12,
    output: Output = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what the last months would have cost on each plan, the advised one first.

    Savings are against on demand; the worst case is the least of them, were all months as the quietest or the busiest;
    a commitment pays from so many hours of a year on.
    """
    asked = {"customer_id": customer_id, "months": months}
    with connect(url, key) as client:
        advice = fetch_report(client, "plan-advice", asked, output, as_json=as_json)
    if advice is None:
        return
    write_table(advice, OPTIONS, _make_option_row, as_json=as_json)
    if not (advice["data"] or as_json):
        make_console().print(say("No whole month under a contract is over yet."))


def _make_option_row(option: dict[str, Any]) -> list[str]:
    amounts = [option["cost"]["total"], option["cost"]["unmet"], *(option[name] for name in SAVINGS)]
    marks = [name for name in ("advised", "present") if option[name]]
    hours = f"{option['committed_gpu_hours']:,}"
    return [option["plan"], hours, *(each["amount"] for each in amounts), option[PAYS_FROM] or "-", ", ".join(marks)]


@app.command("start-accuracy")
def show_start_accuracy(
    weeks: Annotated[int, typer.Option("--weeks", help="So many weeks, this one included.")] = 8,
    queue: Annotated[str | None, typer.Option("--queue", help="Only jobs of this queue.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show how good the starts were that waiting jobs were told, by week (ops).

    Judged are those that have started, or wait beyond their p90: a half should start by p50, nine tenths by p90.
    """
    with connect(url, key) as client:
        report = client.get("/reports/start-accuracy", weeks=weeks, queue=queue)
    if as_json:
        write_json(report)
        return
    write_table(collect_page(report["weeks"]), STARTS, make_week_row, as_json=False)
    if not report["weeks"]:
        make_console().print(say("No job that waited was told a start in these weeks."))


def make_week_row(week: dict[str, Any]) -> list[str]:
    """Make the row of a week: what was told, and how much of it held."""
    error = week["median_error_seconds"]
    late = "-" if error is None else f"{error:+,} s"
    shares = [_describe_share(week[f"by_{name}"], week[f"coverage_{name}"]) for name in ("p50", "p90")]
    return [week["week"], str(week["promised"]), str(week["decided"]), *shares, str(week["slipped"]), late]


def _describe_share(count: int, coverage: str | None) -> str:
    return str(count) if coverage is None else f"{count} ({Decimal(coverage):.0%})"


app.command("revenue")(finance_reports.show_revenue)
app.command("commitments")(finance_reports.show_commitments)
app.command("pool-margin")(finance_reports.show_pool_margin)
app.command("focus")(finance_reports.export_focus)
app.command("cost-rate")(finance_reports.set_cost_rate)
