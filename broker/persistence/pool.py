"""The pool of connections: one that is dead is found out and replaced, and one that goes back leaves nothing open."""

import math
import time
from typing import Any

import psycopg
from pydantic_core import from_json
from sqlalchemy import event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState

from broker.persistence import driver

# A transaction in which nothing is asked for so long is ended by PostgreSQL: its process was stopped, or its machine is
# gone, and what it has locked, such as the turn of who plans, would be locked for as long.
IDLE_SECONDS = 60.0
# A connection used so lately is taken to be alive: asking it would cost as much as the statement that comes next.
TRUSTED_SECONDS = 1.0


def open_pool(url: str, *, pool_size: int, wait_seconds: float, idle_seconds: float = IDLE_SECONDS) -> AsyncEngine:
    """Open a pool in AUTOCOMMIT: not the driver begins a transaction, `Database` does, together with the scope."""
    engine = create_async_engine(
        with_driver(url),
        connect_args={"options": _write_options(url, idle_seconds)},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=wait_seconds,
        pool_use_lifo=True,  # few connections, whose servers know the tables and the plans of our statements
        pool_reset_on_return=None,  # `_roll_back_when_returned` does it where there is anything to roll back
        isolation_level="AUTOCOMMIT",
        json_deserializer=from_json,
        hide_parameters=True,  # an error would quote what customers have written, and what is sealed
    )
    _ask_idle_connections(engine)
    _forget_prepared_statements(engine)
    _roll_back_when_returned(engine)
    return engine


def _write_options(url: str, idle_seconds: float) -> str:
    """Write what a session begins with: what its URL says comes last, and counts."""
    own, said = f"-c idle_in_transaction_session_timeout={math.ceil(idle_seconds * 1000)}", make_url(url).query
    return " ".join([own, *(each for each in [said.get("options")] if isinstance(each, str))])


def _ask_idle_connections(engine: AsyncEngine) -> None:
    """Replace a pooled connection that answers no more, and with it all that were opened before.

    One that was in use just now is not asked, unless another has been found dead since.
    """
    found_dead_at = -math.inf

    @event.listens_for(engine.sync_engine, "invalidate")
    def note_death(_connection: DBAPIConnection, _entry: ConnectionPoolEntry, _error: Any) -> None:
        nonlocal found_dead_at
        found_dead_at = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkin")
    def note_use(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def ask(connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: Any) -> None:
        used_at = entry.info.get("used_at")
        if used_at is None or used_at > max(time.monotonic() - TRUSTED_SECONDS, found_dead_at):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _forget_prepared_statements(engine: AsyncEngine) -> None:
    """Forget what a connection has prepared whenever something is rolled back: psycopg may have dropped all of it."""

    @event.listens_for(engine.sync_engine, "rollback")
    def forget(connection: Connection, *_savepoint: Any) -> None:
        if not connection.invalidated:
            connection.info.pop(driver.PREPARED, None)

    event.listen(engine.sync_engine, "rollback_savepoint", forget)


def _roll_back_when_returned(engine: AsyncEngine) -> None:
    """Roll back what is open on a connection that goes back to the pool, and forget what it has prepared."""

    @event.listens_for(engine.sync_engine, "reset")
    def roll_back_if_open(connection: DBAPIConnection, entry: ConnectionPoolEntry, state: PoolResetState) -> None:
        if connection.driver_connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            return
        entry.info.pop(driver.PREPARED, None)
        if state.asyncio_safe:
            try:
                connection.rollback()
            except psycopg.Error as error:
                if not connection.driver_connection.closed:
                    raise
                entry.invalidate(error)  # it died, and what was open with it: that is no mistake of ours


def with_driver(url: str) -> str:
    """Write the URL for SQLAlchemy with psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def without_driver(url: str) -> str:
    """Write the URL for libpq, as psycopg itself takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
