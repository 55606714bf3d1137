"""Databases lent to one test after the other: emptied in between, their connections kept open.

A clone of the template costs more than most tests, and so does a connection that has not seen the tables yet. A
database that a test leaves in any doubt (another schema, an open transaction, many dead rows) is not lent again.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from broker.persistence.database import Database, open_database
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls

NUMBERS = itertools.count(1)
MOST_LENDS = 100  # dead rows stay on their pages until then
SCHEMA_CHANGED = "schema_changed"
TELL_SCHEMA_CHANGES = f"""
    CREATE SCHEMA lending;
    CREATE FUNCTION lending.tell() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('{SCHEMA_CHANGED}', ''); END $$;
    CREATE EVENT TRIGGER tell_change ON ddl_command_end EXECUTE FUNCTION lending.tell();
    CREATE EVENT TRIGGER tell_drop ON sql_drop EXECUTE FUNCTION lending.tell();
    LISTEN {SCHEMA_CHANGED};
    SET session_replication_role = replica;
    SET lock_timeout = '5s';
"""  # as a replica nothing refuses to be deleted
TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' ORDER BY relname
"""
USED_TABLES = TABLES.replace(" ORDER BY", " AND pg_relation_size(oid) > 0 ORDER BY")
SEQUENCES = "SELECT sequencename, coalesce(last_value, 1), last_value IS NOT NULL FROM pg_sequences"
BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
          AND state <> 'idle' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Contents:
    """The rows of all tables, and where their sequences stand."""

    rows: dict[str, bytes]
    sequences: list[tuple[str, int, bool]]


def read_contents(owner: psycopg.Connection) -> Contents:
    """Read what a test would find in this database now."""
    tables = [name for (name,) in owner.execute(TABLES.encode())]
    copied = {name: _copy_out(owner, name) for name in tables}
    return Contents({name: rows for name, rows in copied.items() if rows}, owner.execute(SEQUENCES.encode()).fetchall())


def _copy_out(owner: psycopg.Connection, table: str) -> bytes:
    with owner.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
        return b"".join(bytes(block) for block in copy)


@dataclass
class LentDatabase:
    """One database, and the open connections to it."""

    urls: DatabaseUrls
    owner: psycopg.Connection
    database: Database
    lends: int = 0
    schema_changes: list[psycopg.Notify] = field(default_factory=list)

    def fill(self, contents: Contents) -> None:
        """Make these the contents, whatever was there; most tables have never had a row."""
        used = self.owner.execute(USED_TABLES.encode()).fetchall()
        emptied = "; ".join(f"DELETE FROM {table}" for (table,) in used)
        counted = "; ".join(f"SELECT setval('{name}', {at}, {used})" for name, at, used in contents.sequences)
        with self.owner.transaction():
            self.owner.execute(f"{emptied}; {counted}".strip("; ").encode())
            for table, rows in contents.rows.items():
                with self.owner.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                    copy.write(rows)

    def is_as_it_was(self) -> bool:
        """Whether nothing but rows can have changed, and nobody is in the middle of something."""
        try:
            busy = self.owner.execute(BUSY.encode()).fetchone()
        except psycopg.OperationalError:  # the test cut all connections
            return False
        checked_out = self.database.engine.pool.checkedout()  # type: ignore[attr-defined]
        return busy == (0,) and not self.schema_changes and checked_out == 0 and self.lends < MOST_LENDS

    async def close(self) -> None:
        self.owner.close()
        await self.database.close()


@dataclass
class Lender:
    """Lends databases of one server; `bare` is what one holds when it is lent."""

    server: EmbeddedServer
    bare: Contents
    idle: list[LentDatabase] = field(default_factory=list)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[LentDatabase]:
        """Lend a database with the schema and nothing else in it, for as long as the block lasts."""
        lent = self.idle.pop() if self.idle else self._clone()
        yield lent
        await end_stray_tasks()
        lent.lends += 1
        if lent.is_as_it_was():
            lent.fill(self.bare)
            self.idle.append(lent)
        else:
            await self._drop(lent)

    def _clone(self) -> LentDatabase:
        urls = clone_database(self.server)
        assert urls.owner is not None
        owner = psycopg.connect(urls.owner, autocommit=True)
        lent = LentDatabase(urls, owner, open_database(urls.app))
        owner.execute(TELL_SCHEMA_CHANGES.encode())
        owner.add_notify_handler(lent.schema_changes.append)
        return lent

    async def _drop(self, lent: LentDatabase) -> None:
        await lent.close()
        drop_database(self.server, lent.urls)

    async def close(self) -> None:
        for lent in self.idle:
            await lent.close()


def open_lender(server: EmbeddedServer) -> Lender:
    with psycopg.connect(server.owner_url()) as owner:
        return Lender(server, read_contents(owner))


async def end_stray_tasks() -> None:
    """Cancel what a test left running, or it would go on in the next one: all of them share one event loop."""
    strays = asyncio.all_tasks() - {asyncio.current_task()}
    for task in strays:
        task.cancel()
    await asyncio.gather(*strays, return_exceptions=True)


@contextmanager
def cloned_database(server: EmbeddedServer) -> Iterator[DatabaseUrls]:
    """Clone a database of its own, for as long as the block lasts."""
    urls = clone_database(server)
    yield urls
    drop_database(server, urls)


def clone_database(server: EmbeddedServer) -> DatabaseUrls:
    """Clone the template file by file: its hundreds of small tables take half again as long block by block."""
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE broker STRATEGY file_copy".encode())
    return DatabaseUrls(server.app_url(name), server.owner_url(name))


def drop_database(server: EmbeddedServer, urls: DatabaseUrls) -> None:
    name = psycopg.conninfo.conninfo_to_dict(urls.app)["dbname"]
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
