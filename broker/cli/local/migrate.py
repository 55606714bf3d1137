"""`broker migrate`."""

import typer

from broker.cli.local.options import DataDir, load_settings
from broker.processes.boot import database_urls, migrate_database


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest revision."""
    settings = load_settings(data_dir=data_dir)
    with database_urls(settings) as urls:
        migrate_database(urls, wait_seconds=settings.database_wait_seconds)
    typer.echo("The database is at the newest revision.")
