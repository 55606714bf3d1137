"""`broker ledger`: the books, checked and exported."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from broker.cli.failures import ExitCode
from broker.cli.local.database import reading_database, working_on
from broker.cli.local.options import AsJson, DataDir, load_settings
from broker.cli.output import write_json
from broker.cli.words import say
from broker.ledger.reading.export import export_ledger
from broker.reports.reconciliation import Reconciled, reconcile_books
from broker.reports.verify import CheckResult, verify_database

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The double-entry ledger.")


@app.callback()
def ledger() -> None:
    """Check and export the double-entry ledger."""


@app.command("verify")
def verify(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Re-derive every balance from its entries and check each rule of the ledger; exit code 1 if one is broken."""
    with reading_database(load_settings(data_dir=data_dir)) as urls:
        results = asyncio.run(verify_database(urls.app))
    if as_json:
        write_json({"data": [asdict(result) for result in results]})
    else:
        _show_rules(results)
    if any(result.broken for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _show_rules(results: list[CheckResult]) -> None:
    table = Table(say("rule"), say("broken rows"), title=say("Ledger"))
    for result in results:
        table.add_row(result.rule, _color(result.broken))
    console = Console()
    console.print(table)
    for result in results:
        if result.broken and result.cure is not None:
            console.print(f"[bold]{result.rule}[/]: {result.cure}", soft_wrap=True)


@app.command("export")
def export(
    output: Annotated[Path | None, typer.Option(help="The file to write; without it, standard output.")] = None,
    contract: Annotated[str | None, typer.Option(help="Only this contract's accounts and transfers.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Write the ledger in Beancount form: `bean-check FILE` derives every balance again, by a program not ours."""
    if as_json and output is None:
        raise typer.BadParameter(
            say("the books are no JSON; with --json, name the file by --output"), param_hint="--output"
        )
    pieces = working_on(load_settings(data_dir=data_dir), lambda work: export_ledger(work, contract))
    with nullcontext(sys.stdout) if output is None else output.open("w", encoding="utf-8") as file:
        file.writelines(pieces)
    if as_json:
        write_json({"path": str(output)})


@app.command("reconcile")
def reconcile(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Compare usage, charges, balances, invoices and payments, link by link; exit code 1 if two of them differ."""
    links = working_on(load_settings(data_dir=data_dir), reconcile_books)
    if as_json:
        write_json({"data": [asdict(link) for link in links]})
    else:
        _show_links(links)
    if any(link.differences for link in links):
        raise typer.Exit(ExitCode.FAILED)


def _show_links(links: list[Reconciled]) -> None:
    heads = (say("link"), say("unit"), say("one side"), say("other side"), say("differs for"))
    table = Table(*heads, title=say("From usage to payments"))
    for link in links:
        for unit, (left, right) in link.totals.items():
            table.add_row(link.name, unit, f"{left:,}", f"{right:,}", _name_differing(link, unit))
    Console().print(table)


def _name_differing(link: Reconciled, unit: str) -> str:
    differing = [found.contract_id or say("no contract") for found in link.differences if found.unit == unit]
    return _color(differing)


def _color(faults: Sequence[str]) -> str:
    return "[red]" + "\n".join(faults) if faults else f"[green]{say('none')}[/]"
