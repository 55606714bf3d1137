"""How commands that only read open the database."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from sqlalchemy.exc import DBAPIError

from broker.config import Settings
from broker.processes.boot import DatabaseUrls, database_urls


@contextmanager
def reading_database(settings: Settings) -> Iterator[DatabaseUrls]:
    """Open the database for reading; one that cannot be read (never set up, say) ends the command: a line, exit 2."""
    try:
        with database_urls(settings) as urls:
            yield urls
    except DBAPIError as error:
        typer.echo(f"broker: the database cannot be read; has `broker migrate` been run? {error.orig}", err=True)
        raise typer.Exit(2) from error
