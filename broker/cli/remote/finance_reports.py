"""`broker reports` for finance: revenue, commitments, what pools earn and cost, invoices for other tools."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import make_console, one_line, write_answer, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.report_files import fetch_report
from broker.cli.texts.columns import Column
from broker.cli.words import say, translate

Month = Annotated[str, typer.Argument(help="The month, as 2026-11.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Only this customer's.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write it into this file, as XLSX where its name ends so, or else as CSV."),
]
DEFERRED = ("opening", "sold", "recognised", "breakage", "refunded", "carried", "adjusted", "closing")
MOVEMENTS = (*DEFERRED, "revenue", "tax")
REVENUE = (Column("customer"), Column("contract"), *(Column(name, right=True) for name in MOVEMENTS))
COMMITMENTS = (
    Column("customer"),
    Column("plan"),
    *(Column(name, right=True) for name in ("committed", "used", "%", "left")),
    *(Column(name) for name in ("used up from", "at the usual pace", "to", "period ends")),
    Column("expected true-up", right=True),
)
SUMS = ("charged", "borne", "used_cost", "idle_cost", "margin")
POOLS = (
    Column("pool"),
    Column("GPU"),
    *(Column(name, right=True) for name in ("used hours", "idle hours", *(name.replace("_", " ") for name in SUMS))),
)


def show_revenue(
    month: Month,
    customer_id: Customer = None,
    output: Output = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what a month earned and what is deferred, by contract, as the ledger has it; tax apart (finance)."""
    with connect(url, key) as client:
        report = fetch_report(client, "revenue", {"month": month, "customer_id": customer_id}, output, as_json=as_json)
    if report is not None:
        total = {**report, "customer": translate("total"), "contract_number": ""}
        page = report if as_json else collect_page([*report["data"], total])
        write_table(page, REVENUE, _make_revenue_row, as_json=as_json)


def _make_revenue_row(row: dict[str, Any]) -> list[str]:
    names = [one_line(row["customer"]), one_line(row["contract_number"])]
    return [*names, *(row[name]["amount"] for name in MOVEMENTS)]


def show_commitments(
    customer_id: Customer = None,
    days: Annotated[int, typer.Option("--days", help="For JSON: grants that end within so many days.")] = 90,
    output: Output = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show how far contracts are with what they committed to, and when the hours run out.

    The days are at the ninetieth, fiftieth and tenth percentile of what twelve weeks used.
    """
    with connect(url, key) as client:
        report = fetch_report(
            client, "commitments", {"customer_id": customer_id, "days": days}, output, as_json=as_json
        )
    if report is not None:
        page = report if as_json else collect_page(report["data"])
        write_table(page, COMMITMENTS, make_commitment_row, as_json=as_json)


def make_commitment_row(row: dict[str, Any]) -> list[str]:
    """Make the line of a contract: what it has committed to, what is left of it, and until when."""
    hours = [row["committed_gpu_hours"], row["used_gpu_hours"], row["attained_percent"] or "-", row["left_gpu_hours"]]
    ends = [row[f"exhausted_{when}"] for when in ("earliest", "expected", "latest")]
    days = [end[:10] if end else "-" for end in (*ends, row["ends_at"])]
    return [one_line(row["customer"]), row["plan"], *hours, *days, row["expected_true_up"]["amount"]]


def show_pool_margin(
    month: Month, output: Output = None, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Show what usage on each pool was worth, what the house bore of it, and what the pool cost (finance)."""
    with connect(url, key) as client:
        report = fetch_report(client, "pool-margin", {"month": month}, output, as_json=as_json)
    if report is not None:
        write_table(report if as_json else collect_page(report["data"]), POOLS, make_pool_row, as_json=as_json)
        if report["guarantees"] and not as_json:
            write_lines(make_console(), [Text(tell_guarantee(each)) for each in report["guarantees"]])


def tell_guarantee(use: dict[str, Any]) -> str:
    """Tell what became of the guaranteed GPUs of a type."""
    hours = {name: use[f"{name}_gpu_hours"] for name in ("guaranteed", "used", "lent", "left")}
    kept = say(
        "{used} used by whom they are guaranteed to, {left} left by them", used=hours["used"], left=hours["left"]
    )
    return say(
        "{gpu_type}: {guaranteed} GPU-hours guaranteed, {kept}, at least {lent} of these lent",
        gpu_type=use["gpu_type"],
        guaranteed=hours["guaranteed"],
        kept=kept,
        lent=hours["lent"],
    )


def make_pool_row(row: dict[str, Any]) -> list[str]:
    """Make the line of a pool; what has no cost rate has no cost."""
    names = [one_line(row["pool"] or say("from outside")), row["gpu_type"] or "-"]
    amounts = [row[name]["amount"] if row[name] else "-" for name in SUMS]
    return [*names, row["used_gpu_hours"], row["idle_gpu_hours"], *amounts]


def export_focus(
    month: Month,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write it as CSV into this file.")],
    customer_id: Customer = None,
    version: Annotated[str, typer.Option("--version", help="Of FOCUS: 1.2, or 1.3 with its further columns.")] = "1.3",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Export what a month's final invoices ask for in the columns of FOCUS, for tools that read it."""
    asked = {"month": month, "customer_id": customer_id, "version": version}
    with connect(url, key) as client:
        fetch_report(client, "focus", asked, output, as_format=None, as_json=as_json)


def set_cost_rate(
    pool: Annotated[str, typer.Argument(help="The pool.")],
    per_gpu_hour: Annotated[str, typer.Argument(help="Yuan that a GPU costs for an hour, used or idle.")],
    begins_on: Annotated[str, typer.Argument(help="First day, as 2026-11-01.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Set what a GPU-hour of a pool costs from a day on, for its margin (finance, ops)."""
    with connect(url, key) as client:
        body = {"per_gpu_hour": per_gpu_hour, "begins_on": begins_on}
        rate = client.post(f"/pools/{pool}/cost-rates", body)
    cost = rate["per_gpu_hour"]["amount"]
    told = say(
        "{pool} costs {cost} yuan a GPU-hour from {begins_on} on.",
        pool=rate["pool"],
        cost=cost,
        begins_on=rate["begins_on"],
    )
    write_answer(rate, told, as_json=as_json)
