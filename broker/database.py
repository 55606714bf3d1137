"""The database: one connection pool, transactions with a tenant scope, LISTEN/NOTIFY.

Row-level security reads two settings of the transaction: `broker.scope` (`all`, `tenant`, `authenticate`) and
`broker.customer_id`. Without them a transaction sees no tenant row at all.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from sqlalchemy import BigInteger, DateTime, MetaData, event, make_url, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

APP_ROLE = "broker_app"
WAKE_CHANNEL = "broker_wake"
# A connection that was in use so lately is taken to be alive: to ask costs as much as the statement that comes next.
TRUSTED_SECONDS = 1.0
SET_SCOPE = "SELECT set_config('broker.scope', %s, true), set_config('broker.customer_id', %s, true)"


class Base(DeclarativeBase):
    """Declarative base: aware datetimes, 64-bit integers, JSONB for mappings and lists."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it as a class attribute)
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


def moment_column(*, nullable: bool = False, index: bool = False) -> Mapped[Any]:
    return mapped_column(DateTime(timezone=True), nullable=nullable, index=index)


class Scope(StrEnum):
    ALL = "all"
    TENANT = "tenant"
    AUTHENTICATE = "authenticate"


class UnsafeDatabaseRole(RuntimeError):
    """The application's database role could bypass row-level security."""


@dataclass(frozen=True)
class Database:
    engine: AsyncEngine
    url: str

    @asynccontextmanager
    async def transaction(self, scope: Scope, customer_id: str | None = None) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            await _begin(session, scope, customer_id)
            yield session
            await session.commit()

    async def check_role(self) -> None:
        """Raises: UnsafeDatabaseRole, where the role is a superuser or may bypass row-level security."""
        query = text("SELECT rolname, rolsuper OR rolbypassrls AS unsafe FROM pg_roles WHERE rolname = current_user")
        async with self.engine.connect() as connection:
            row = (await connection.execute(query)).one()
        if row.unsafe:
            raise UnsafeDatabaseRole(
                f"BROKER_DATABASE_URL connects as {row.rolname!r}, which bypasses row-level security; "
                f"connect as a plain role such as {APP_ROLE!r} and give the owner in BROKER_MIGRATION_DATABASE_URL"
            )

    async def close(self) -> None:
        await self.engine.dispose()


def open_database(url: str, *, pool_size: int = 20) -> Database:
    engine = create_async_engine(with_driver(url), pool_size=pool_size, max_overflow=0)
    _ask_idle_connections(engine)
    return Database(engine, url)


def _ask_idle_connections(engine: AsyncEngine) -> None:
    """Replace a pooled connection that does not answer any more, and with it the others of before.

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


def with_driver(url: str) -> str:
    """The same URL for SQLAlchemy with psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def without_driver(url: str) -> str:
    """The same URL for libpq, as psycopg itself takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def _begin(session: AsyncSession, scope: Scope, customer_id: str | None) -> None:
    """Begin on a connection that is alive: where the first statement finds it dead, nothing has been done yet."""
    try:
        await set_scope(session, scope, customer_id)
    except OperationalError as error:
        if not error.connection_invalidated:
            raise
        await session.rollback()
        await set_scope(session, scope, customer_id)


async def set_scope(session: AsyncSession, scope: Scope, customer_id: str | None = None) -> None:
    """Set what the rest of the transaction may see; with its BEGIN where it is the first statement."""
    async with pipeline(await session.connection()) as driver:
        await driver.execute(SET_SCOPE, (scope.value, customer_id or ""))


@asynccontextmanager
async def pipeline(connection: AsyncConnection) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """The driver's connection; what is executed on it inside the block goes out in one round trip.

    Raises: sqlalchemy.exc.OperationalError, as for every other statement.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    try:
        async with driver.pipeline():
            yield driver
    except psycopg.OperationalError as error:
        if driver.closed:
            await connection.invalidate(error)
        raise OperationalError(None, None, error, connection_invalidated=driver.closed) from error


async def wake_dispatcher(session: AsyncSession) -> None:
    """Tell every broker process, once this transaction is committed, that there is something to plan or relay."""
    await session.execute(text(f"NOTIFY {WAKE_CHANNEL}"))
