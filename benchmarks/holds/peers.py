"""The other sides, in databases of their own on the same server: hf-nostro, and one UPDATE by itself."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from nostro import AsyncLedger
from nostro.migrate import migrate
from psycopg_pool import AsyncConnectionPool

from benchmarks.holds.placing import CONNECTIONS, GPU_SECONDS, PLENTY, Account
from broker.persistence.embedded import EmbeddedServer

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
TABLE = "CREATE TABLE floor (id text PRIMARY KEY, free bigint NOT NULL)"
INSERT = "INSERT INTO floor VALUES (%s, %s)"
UPDATE = "UPDATE floor SET free = free - %s WHERE id = %s AND free >= %s RETURNING free"


@dataclass
class NostroHolds:
    """Debits accounts of hf-nostro: each has an idempotency key, an entry and a draw on a lot of credit."""

    ledger: AsyncLedger
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def open_accounts(self, owners: int, accounts_each: int) -> list[Account]:
        """Open accounts with credit that no load uses up."""
        places = [(f"owner {owner}", f"account {each}") for owner in range(owners) for each in range(accounts_each)]
        return [await self._open(owner, name) for owner, name in places]

    async def _open(self, owner: str, name: str) -> Account:
        opened = await self.ledger.accounts.create(owner, f"{name} {next(self.numbers)}")
        await self.ledger.credit(opened, self.ledger.amount(PLENTY), category="topup", idempotency_key="topup")
        return Account(owner, str(opened.id))

    async def place(self, account: Account) -> None:
        key = f"job_{next(self.numbers)}"
        amount = self.ledger.amount(GPU_SECONDS)
        await self.ledger.debit(UUID(account.id), amount, category="hold", idempotency_key=key, external_ref=key)


@dataclass(frozen=True)
class Floor:
    """Takes what is asked for off a balance in one statement, which is its own transaction, and keeps no books."""

    pool: Pool

    async def open_accounts(self, count: int) -> list[Account]:
        accounts = [Account("", f"account {number} of {count}") for number in range(count)]
        async with self.pool.connection() as connection:
            await connection.cursor().executemany(INSERT, [(account.id, PLENTY) for account in accounts])
        return accounts

    async def place(self, account: Account) -> None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(UPDATE, (GPU_SECONDS, account.id, GPU_SECONDS))
            assert await cursor.fetchone() is not None, "there is plenty"


@asynccontextmanager
async def open_nostro(server: EmbeddedServer, database: str) -> AsyncIterator[NostroHolds]:
    create_database(server, database)
    migrate(dsn=server.owner_url(database), scale=0)
    async with open_pool(server, database) as pool:
        yield NostroHolds(AsyncLedger(pool=pool, scale=0))


@asynccontextmanager
async def open_floor(server: EmbeddedServer, database: str) -> AsyncIterator[Floor]:
    create_database(server, database)
    async with open_pool(server, database, autocommit=True) as pool:
        async with pool.connection() as connection:
            await connection.execute(TABLE)
        yield Floor(pool)


@asynccontextmanager
async def open_pool(server: EmbeddedServer, database: str, **options: Any) -> AsyncIterator[Pool]:
    sizes = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
    async with AsyncConnectionPool(server.owner_url(database), kwargs=options, open=False, **sizes) as pool:
        yield pool


def create_database(server: EmbeddedServer, name: str) -> None:
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
