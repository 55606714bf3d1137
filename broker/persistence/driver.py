"""Statements that go to the driver itself, past SQLAlchemy: those of every request cost a third of the time this way.

They run in the transaction of their connection. They see nothing that a session has not flushed, and a session's guard
of tenancy does not see them: a statement over a customer's rows carries the condition itself (`tenancy.owns`).
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import ClauseElement, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Driver = psycopg.AsyncConnection[tuple[Any, ...]]
Parameters = Mapping[str, object]
DIALECT = make_url("postgresql+psycopg://").get_dialect()()


class Statement:
    """A statement of SQLAlchemy, compiled once. Its parameters are what the session would be given for its columns."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled).encode()
        self.constants = {name: value for name, value in compiled.params.items() if value is not None}
        processors = {name: _find_processor(value.type) for name, value in compiled.binds.items()}
        self.processors = {name: process for name, process in processors.items() if process is not None}

    def bind(self, parameters: Parameters) -> dict[str, object]:
        processed = {name: process(parameters[name]) for name, process in self.processors.items()}
        return {**self.constants, **parameters, **processed}


def _find_processor(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Get the function that turns a value of the column into one of the driver; None where the two are the same."""
    processor: Callable[[Any], Any] | None = kind.dialect_impl(DIALECT).bind_processor(DIALECT)
    return processor


@asynccontextmanager
async def driving(connection: AsyncConnection) -> AsyncIterator[Driver]:
    """Open the driver's own connection; one that turns out to be dead leaves the pool.

    Raises: sqlalchemy.exc.OperationalError, as for every other statement.
    """
    driver = connection.sync_connection.connection.driver_connection if connection.sync_connection else None
    assert isinstance(driver, psycopg.AsyncConnection)
    try:
        yield driver
    except psycopg.OperationalError as error:
        if driver.closed:
            await connection.invalidate(error)
        raise OperationalError(None, None, error, connection_invalidated=driver.closed) from error


async def fetch_row(
    connection: AsyncConnection, statement: Statement, parameters: Parameters
) -> tuple[Any, ...] | None:
    """Fetch the only row of a statement; None where there is none."""
    async with driving(connection) as driver:
        cursor = await driver.execute(statement.text, statement.bind(parameters))
        return await cursor.fetchone()


async def execute_each(connection: AsyncConnection, statement: Statement, rows: Sequence[Parameters]) -> None:
    """Execute a statement once for each row of parameters."""
    async with driving(connection) as driver:
        if len(rows) == 1:
            await driver.execute(statement.text, statement.bind(rows[0]))
        else:
            await driver.cursor().executemany(statement.text, [statement.bind(row) for row in rows])


async def run_script(connection: AsyncConnection, script: bytes) -> None:
    """Run several statements in one message, which takes no parameters."""
    async with driving(connection) as driver:
        await driver.execute(script)


async def commit(connection: AsyncConnection) -> None:
    """Commit the connection's transaction; where a session has committed already, do nothing."""
    async with driving(connection) as driver:
        await driver.commit()
