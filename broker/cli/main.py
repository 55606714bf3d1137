"""The `broker` command."""

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.cli import estimator, jobs
from broker.cli.database import reading_database
from broker.cli.options import DataDir, load_settings
from broker.config import Settings
from broker.ledger.verify import verify_database
from broker.persistence.database import UnsafeDatabaseRole
from broker.processes.boot import MissingMigrationUrl, database_urls, migrate_database

app = typer.Typer(no_args_is_help=True, help="LoRA Broker: quotes, queues, meters and bills LoRA training.")
ledger_app = typer.Typer(no_args_is_help=True, help="The double-entry ledger.")
app.add_typer(ledger_app, name="ledger")
app.add_typer(jobs.app, name="jobs")
app.add_typer(estimator.app, name="estimator")
console = Console()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (BROKER_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (BROKER_PORT).")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer the API (BROKER_WORKERS).")] = None,
) -> None:
    """Migrate, start the embedded PostgreSQL if no other is set, serve, plan and run local workers."""
    from broker.processes.serve import serve as run  # noqa: PLC0415 (the web stack is slow to import)

    run(load_settings(host=host, port=port, data_dir=data_dir, workers=workers))


@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Run training on this machine for a broker elsewhere that shares its database."""
    from broker.processes.serve import work  # noqa: PLC0415 (the web stack is slow to import)

    work(load_settings(data_dir=data_dir))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest revision."""
    with database_urls(load_settings(data_dir=data_dir)) as urls:
        migrate_database(urls)
    console.print("[green]The database is at the newest revision.[/]")


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the scenario instead of serving on.")] = False,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the demo's broker (BROKER_PORT).")] = None,
) -> None:
    """Take customers' LoRA jobs through the whole service, for real."""
    from broker.cli.demo.scenario import run_demo  # noqa: PLC0415 (only the demo needs it)

    raise typer.Exit(run_demo(load_settings(data_dir=data_dir, port=port), serve_on=not exit_after))


@ledger_app.command("verify")
def verify(data_dir: DataDir = None) -> None:
    """Re-derive every balance from its entries and check each rule of the ledger; exit code 1 if one is broken."""
    with reading_database(load_settings(data_dir=data_dir)) as urls:
        results = asyncio.run(verify_database(urls.app))
    table = Table("rule", "broken rows", title="Ledger")
    for result in results:
        table.add_row(result.rule, "[green]none[/]" if not result.broken else "[red]" + "\n".join(result.broken))
    console.print(table)
    if any(result.broken for result in results):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; what an operator can mend is one line, not a traceback."""
    try:
        app()
    except (MissingMigrationUrl, UnsafeDatabaseRole) as error:
        console.print(f"[red]broker:[/] {error}")
        raise SystemExit(2) from error
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for item in error.errors():
            name = "BROKER_" + "_".join(str(part) for part in item["loc"]).upper() if item["loc"] else "settings"
            console.print(f"[red]broker:[/] {name}: {escape(item['msg'])}", soft_wrap=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
