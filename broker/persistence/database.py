"""The database: transactions with a tenant scope over one pool of connections, LISTEN/NOTIFY.

Row-level security reads two settings of the transaction: `broker.scope` (`all`, `tenant`, or `tenants` where a batch is
of several) and `broker.customer_id`, which names the tenant, or all of them with commas between. Without them a
transaction sees no tenant row at all.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import sql
from sqlalchemy import BigInteger, DateTime, MetaData, Select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.util import greenlet_spawn

from broker.errors import OperatorError
from broker.persistence import driver
from broker.persistence.driver import Command, Driven, Parameters, Statement
from broker.persistence.pool import IDLE_SECONDS, open_pool

APP_ROLE = "broker_app"
WAKE_CHANNEL = "broker_wake"
WAKE = f"NOTIFY {WAKE_CHANNEL}".encode()
# What a submission notifies: it needs no cycle by itself where no device is free.
SUBMITTED = "submitted"
WAKE_FOR_SUBMITTED = f"NOTIFY {WAKE_CHANNEL}, '{SUBMITTED}'".encode()
# What starts notify: who relays them has something to do, and nobody has to plan anew.
STARTED = "started"
WAKE_FOR_STARTED = f"NOTIFY {WAKE_CHANNEL}, '{STARTED}'".encode()
# What the ends of runs notify: nobody has to look whether devices are free.
FREED = "freed"
WAKE_FOR_FREED = f"NOTIFY {WAKE_CHANNEL}, '{FREED}'".encode()
BEGIN = sql.SQL(
    "{}SET LOCAL broker.scope TO {}; SET LOCAL broker.customer_id TO {};"
    " SET LOCAL lock_timeout TO {}; SET LOCAL statement_timeout TO {}"
)
WRITES: LiteralString = "BEGIN; "
READS: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
WAIT_WITHOUT_LIMIT = b"SET LOCAL lock_timeout TO 0"
TAKE_TURN = Statement(text("SELECT pg_advisory_xact_lock(CAST(:lock AS bigint))"))
LIMIT_LOCKS = Statement(text("SELECT set_config('lock_timeout', :limit, true)"))
STILL_HERE = Statement(text("SELECT 1"))

Answer = TypeVar("Answer")
Row = TypeVar("Row", bound="Base")


class Base(DeclarativeBase):
    """Declarative base: aware datetimes, 64-bit integers, JSONB for mappings and lists.

    A mapping or list that there is none of is null as in every other column, not JSON's own null.
    """

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
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
    }


def moment_column(*, nullable: bool = False, index: bool = False) -> Mapped[Any]:
    return mapped_column(DateTime(timezone=True), nullable=nullable, index=index)


class Scope(StrEnum):
    ALL = "all"
    TENANT = "tenant"
    TENANTS = "tenants"


@dataclass(frozen=True)
class TimeLimits:
    """How long a transaction waits for one lock, and for one statement. Units: seconds; 0 is without a limit."""

    lock_seconds: float = 0
    statement_seconds: float = 0


UNLIMITED = TimeLimits()


class UnsafeDatabaseRole(OperatorError):
    """The application's database role could bypass row-level security."""


@dataclass(frozen=True)
class Database:
    engine: AsyncEngine
    url: str

    @asynccontextmanager
    async def transaction(
        self, scope: Scope, customer_id: str | None = None, *, limits: TimeLimits = UNLIMITED
    ) -> AsyncIterator[AsyncSession]:
        """Open a transaction: it is committed when the block ends, rolled back when it raises."""
        async with self.transaction_with((), scope, customer_id, limits=limits) as (session, _rows):
            yield session

    @asynccontextmanager
    async def transaction_with(
        self,
        commands: Sequence[Command],
        scope: Scope,
        customer_id: str | None = None,
        *,
        limits: TimeLimits,
    ) -> AsyncIterator[tuple[AsyncSession, list[list[driver.Row]]]]:
        """Open a transaction and run its first statements in the same message; yields the rows of each beside it."""
        beginning = _write_begin(WRITES, scope, customer_id or "", limits)

        async def begin(connection: AsyncConnection) -> list[list[driver.Row]]:
            return await driver.run_together(connection, commands, before=beginning)

        async with self._connect(begin) as (connection, rows):
            session = AsyncSession(connection, expire_on_commit=False)
            yield session, rows
            if session.in_transaction():
                await session.commit()
            else:
                await driver.commit(connection)

    async def read(
        self, commands: Sequence[Command], scope: Scope, customer_id: str | None = None, *, limits: TimeLimits
    ) -> list[list[driver.Row]]:
        """Run statements that only read in one message, which is a transaction by itself and sees one moment.

        Returns the rows of each.
        """
        beginning = _write_begin(READS, scope, customer_id or "", limits)
        return await self._ask(
            lambda driven: driver.ask_together(driven, commands, before=beginning, after=driver.COMMIT)
        )

    async def write(
        self,
        commands: Sequence[Command],
        scope: Scope,
        customer_id: str | None = None,
        *,
        limits: TimeLimits,
        after: bytes = b"",
    ) -> None:
        """Run statements in one message, which is a transaction by itself and ends with its commit.

        It is not sent twice: where the connection dies meanwhile, nobody knows what became of it. One that was dead
        before is found out and replaced.
        """
        beginning, ending = _write_begin(WRITES, scope, customer_id or "", limits), b";".join([after, driver.COMMIT])
        is_sent = False

        async def ask(driven: Driven) -> None:
            nonlocal is_sent
            driven.require_alive()
            is_sent = True
            await driver.ask_together(driven, commands, before=beginning, after=ending)

        try:
            await self._ask_once(ask)
        except OperationalError as error:
            if is_sent or not error.connection_invalidated:
                raise
            await self._ask_once(ask)

    async def fetch_rows(self, statement: Statement, parameters: Parameters) -> list[driver.Row]:
        """Fetch the rows of a statement, in a transaction of its own and without a scope: one round trip."""
        return await self._ask(lambda driven: driver.ask_all(driven, statement, parameters))

    @asynccontextmanager
    async def open_unscoped(self) -> AsyncIterator[AsyncSession]:
        """Open a session without a scope, which sees what belongs to nobody. It takes a connection when it asks."""
        session = AsyncSession(self.engine, expire_on_commit=False)
        try:
            yield session
        finally:
            if session.in_transaction():
                await asyncio.shield(session.close())

    async def _ask(self, ask: Callable[[Driven], Awaitable[Answer]]) -> Answer:
        """Ask a pooled connection one question, past SQLAlchemy. One found dead has done nothing: another is asked."""
        try:
            return await self._ask_once(ask)
        except OperationalError as error:
            if not error.connection_invalidated:
                raise
            return await self._ask_once(ask)

    async def _ask_once(self, ask: Callable[[Driven], Awaitable[Answer]]) -> Answer:
        try:
            pooled = await self.engine.raw_connection()
        except psycopg.OperationalError as error:
            raise driver.as_failure(error, is_dead=False) from error  # there was none yet
        driven = Driven.of(pooled)
        try:
            return await ask(driven)
        except psycopg.OperationalError as error:
            if driven.driver.closed:
                await greenlet_spawn(pooled.invalidate, error)
            raise driver.as_failure(error, is_dead=driven.driver.closed) from error
        finally:
            if pooled.is_valid and driven.is_idle:
                pooled.close()  # nothing is to be rolled back, so nothing is to be awaited
            else:
                await asyncio.shield(greenlet_spawn(pooled.close))

    @asynccontextmanager
    async def _connect(
        self, ask: Callable[[AsyncConnection], Awaitable[Answer]]
    ) -> AsyncIterator[tuple[AsyncConnection, Answer]]:
        """Open a connection that is alive by its first question: one found dead has done nothing, so another is asked.

        A transaction that is open at the end of the block is rolled back.
        """
        connection = await self.engine.connect()
        try:
            try:
                answer = await ask(connection)
            except OperationalError as error:
                if not error.connection_invalidated:
                    raise
                await connection.close()
                connection = await self.engine.connect()
                answer = await ask(connection)
            yield connection, answer
        except BaseException:
            await asyncio.shield(connection.close())
            raise
        await connection.close()

    async def check_role(self) -> None:
        """Check that row-level security binds the role.

        Raises: UnsafeDatabaseRole, where the role is a superuser or may bypass row-level security.
        """
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


def open_database(
    url: str, *, pool_size: int = 20, wait_seconds: float = 30.0, idle_seconds: float = IDLE_SECONDS
) -> Database:
    """Open a database by its URL. Whoever finds no connection free waits for one, for so long at most.

    A transaction in which nothing is asked for `idle_seconds` is ended by PostgreSQL.
    """
    return Database(open_pool(url, pool_size=pool_size, wait_seconds=wait_seconds, idle_seconds=idle_seconds), url)


@lru_cache(maxsize=256)
def _write_begin(begin: LiteralString, scope: Scope, customer_id: str, limits: TimeLimits) -> bytes:
    """Write BEGIN, the scope and the limits as one message, for one round trip; such a message takes no parameters."""
    times = (_write_time(limits.lock_seconds), _write_time(limits.statement_seconds))
    return BEGIN.format(sql.SQL(begin), sql.Literal(scope.value), sql.Literal(customer_id), *times).as_bytes()


def _write_time(seconds: float) -> sql.Literal:
    return sql.Literal(f"{math.ceil(seconds * 1000)}ms")


async def take_turn(
    connection: AsyncConnection, lock: int, commands: Sequence[Command] = (), *, limits: TimeLimits
) -> list[list[driver.Row]]:
    """Wait for a turn that processes take one after the other, however long that is; it ends with the transaction.

    From then on the transaction has these limits again. Statements that are to be run in the turn go in the same
    message; returns the rows of each of them.
    """
    limit = f"{math.ceil(limits.lock_seconds * 1000)}ms"
    turn = [Command(TAKE_TURN, {"lock": lock}), Command(LIMIT_LOCKS, {"limit": limit})]
    return (await driver.run_together(connection, [*turn, *commands], before=WAIT_WITHOUT_LIMIT))[len(turn) :]


async def compute(
    connection: AsyncConnection, function: Callable[[], Answer], *, every_seconds: float = IDLE_SECONDS / 4
) -> Answer:
    """Have a thread compute what a transaction needs, however long that takes; returns what it returns.

    PostgreSQL is asked something now and then meanwhile: else it would take the process for one that stands still, and
    end the transaction. Nothing else may be asked of the connection until then.
    """
    computing = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        while not (await asyncio.wait({computing}, timeout=every_seconds))[0]:
            await driver.run_together(connection, [Command(STILL_HERE, {})])
    except Exception:
        await asyncio.wait({computing})  # what it computes upon is not to be touched by it and the next one at once
        raise
    return computing.result()


async def add_unique(session: AsyncSession, row: Base, taken: Exception) -> None:
    """Add a row of which there may be one alone. Raises: `taken`, where there is one; the transaction goes on."""
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise taken from error


def narrow(query: Select[Row], *, id_prefix: str | None = None, **wanted: Any) -> Select[Row]:
    """Narrow a list to rows with these values in their columns, and an id that begins so; None leaves it as it is."""
    if id_prefix is not None:
        query = query.where(query.selected_columns.id.startswith(id_prefix, autoescape=True))
    return query.filter_by(**{column: value for column, value in wanted.items() if value is not None})


async def wake_dispatcher(session: AsyncSession) -> None:
    """Tell every broker process, once this transaction is committed, that there is something to plan or relay."""
    await session.execute(text(WAKE.decode()))
