"""How commands open the database."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from broker.cli.words import say
from broker.config import Settings
from broker.errors import DomainError, OperatorError
from broker.failure_log import describe_failure
from broker.persistence.preflight import DatabaseUnusable, check_schema
from broker.processes.boot import DatabaseUrls, database_urls
from broker.system import open_system
from broker.work import Work

Answer = TypeVar("Answer")
# The embedded server was found to run: on a busy machine it may take a while to answer.
EMBEDDED_SECONDS = 60.0


@contextmanager
def reading_database(settings: Settings) -> Iterator[DatabaseUrls]:
    """Open the database for reading; one that cannot be read (never set up, say) ends the command: a line, exit 2."""
    try:
        with database_urls(settings) as urls:
            is_embedded = not urls.app_place.setting
            check_schema(urls.app_place, wait_seconds=EMBEDDED_SECONDS if is_embedded else 0)
            yield urls
    except (DatabaseUnusable, DBAPIError) as error:
        message = say(
            "the database cannot be read; has `broker migrate` been run? {error}", error=describe_failure(error)
        )
        raise OperatorError(message) from error


def working_on(settings: Settings, act: Callable[[Work], Awaitable[Answer]]) -> Answer:
    """Do one unit of work as the system itself, in a transaction that is committed when it ends well.

    Raises: OperatorError, for what the domain refuses.
    """
    try:
        with reading_database(settings) as urls:
            return asyncio.run(_work_on(settings, urls.app, act))
    except DomainError as error:
        raise OperatorError(error.detail) from error


async def _work_on(settings: Settings, database_url: str, act: Callable[[Work], Awaitable[Answer]]) -> Answer:
    system = open_system(settings, database_url)
    try:
        async with system.work() as work:
            return await act(work)
    finally:
        await system.database.close()
