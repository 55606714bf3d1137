"""`broker serve` and `broker worker`."""

from typing import Annotated

import typer

from broker.cli.local.options import DataDir, load_settings
from broker.processes import serve as processes


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (BROKER_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (BROKER_PORT).")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer the API (BROKER_WORKERS).")] = None,
) -> None:
    """Migrate, start the embedded PostgreSQL if no other is set, serve, plan and run local workers."""
    processes.serve(load_settings(host=host, port=port, data_dir=data_dir, workers=workers))


def worker(data_dir: DataDir = None) -> None:
    """Run training on this machine for a broker elsewhere that shares its database."""
    processes.work(load_settings(data_dir=data_dir))
