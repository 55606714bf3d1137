"""`broker demo`."""

from typing import Annotated

import typer

from broker.cli.demo.scenario import run_demo
from broker.cli.local.options import DataDir, load_settings


def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the scenario instead of serving on.")] = False,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the demo's broker (BROKER_PORT).")] = None,
) -> None:
    """Take customers' LoRA jobs through the whole service, for real."""
    raise typer.Exit(run_demo(load_settings(data_dir=data_dir, port=port), serve_on=not exit_after))
