"""`broker ledger`: the books, checked."""

import asyncio

import typer
from rich.console import Console
from rich.table import Table

from broker.cli.database import reading_database
from broker.cli.options import DataDir, load_settings
from broker.reports.verify import verify_database

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The double-entry ledger.")


@app.callback()
def ledger() -> None:
    """Check the double-entry ledger."""


@app.command("verify")
def verify(data_dir: DataDir = None) -> None:
    """Re-derive every balance from its entries and check each rule of the ledger; exit code 1 if one is broken."""
    with reading_database(load_settings(data_dir=data_dir)) as urls:
        results = asyncio.run(verify_database(urls.app))
    table = Table("rule", "broken rows", title="Ledger")
    for result in results:
        table.add_row(result.rule, "[green]none[/]" if not result.broken else "[red]" + "\n".join(result.broken))
    Console().print(table)
    if any(result.broken for result in results):
        raise typer.Exit(1)
