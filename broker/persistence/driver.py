"""Statements that go to the driver itself, past SQLAlchemy: those of every request cost a third of the time this way.

They run in the transaction of their connection. They see nothing that a session has not flushed, and a session's guard
of tenancy does not see them: a statement over a customer's rows carries the condition itself (`tenancy.owns`).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import JSON, ClauseElement, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

Driver = psycopg.AsyncConnection[tuple[Any, ...]]
Parameters = Mapping[str, object]
DIALECT = make_url("postgresql+psycopg://").get_dialect()()


class Statement:
    """A statement of SQLAlchemy, compiled once. Its parameters are plain values, and documents for JSON columns."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled).encode()
        self.constants = {name: value for name, value in compiled.params.items() if value is not None}
        self.documents = [name for name, value in compiled.binds.items() if isinstance(value.type, JSON)]

    def bind(self, parameters: Parameters) -> dict[str, object]:
        return {**self.constants, **parameters, **{name: Jsonb(parameters[name]) for name in self.documents}}


@asynccontextmanager
async def driving(connection: AsyncConnection) -> AsyncIterator[Driver]:
    """The connection of the driver; one that turns out to be dead leaves the pool.

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
    """The only row; None where there is none."""
    async with driving(connection) as driver:
        cursor = await driver.execute(statement.text, statement.bind(parameters))
        return await cursor.fetchone()


async def execute_each(connection: AsyncConnection, statement: Statement, rows: Sequence[Parameters]) -> None:
    """Once for each row."""
    async with driving(connection) as driver:
        if len(rows) == 1:
            await driver.execute(statement.text, statement.bind(rows[0]))
        else:
            await driver.cursor().executemany(statement.text, [statement.bind(row) for row in rows])


async def run_script(connection: AsyncConnection, script: bytes) -> None:
    """Several statements in one message, which takes no parameters."""
    async with driving(connection) as driver:
        await driver.execute(script)


async def commit(connection: AsyncConnection) -> None:
    """Nothing, where a session has committed already."""
    async with driving(connection) as driver:
        await driver.commit()
