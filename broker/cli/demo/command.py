"""`broker demo`."""

from datetime import datetime
from typing import Annotated

import typer

from broker.cli.demo.history.run import HistoryOptions, write_history
from broker.cli.demo.scenario import run_demo
from broker.cli.local.options import DataDir, load_settings


def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the scenario instead of serving on.")] = False,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the demo's broker (BROKER_PORT).")] = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Write three months of twelve made-up customers into an empty database instead, and end.",
        ),
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=24, max=20_000, help="With --history: so many jobs, of which contracts refuse some.")
    ] = 1250,
    seed: Annotated[int, typer.Option(min=0, help="With --history: another one writes another history.")] = 1,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="With --history: its last day; default: yesterday."),
    ] = None,
) -> None:
    """Take customers' LoRA jobs through the whole service, for real."""
    settings = load_settings(data_dir=data_dir, port=port)
    if not history:
        raise typer.Exit(run_demo(settings, serve_on=not exit_after))
    raise typer.Exit(write_history(settings, HistoryOptions(seed, jobs, None if until is None else until.date())))
