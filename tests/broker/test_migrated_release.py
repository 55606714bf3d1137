"""The migrations carry the books of release 0.1.0 over: the same balances, usage and invoices, and every rule holds."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command

from broker.config import Settings
from broker.ledger.reading.export import export_ledger
from broker.ledger.service import read_contract_balance
from broker.persistence.embedded import EmbeddedServer
from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.reports.reconciliation import reconcile_books
from broker.system import System, open_system
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import broken_rules

pytestmark = pytest.mark.slow

RELEASE = Path(__file__).parent / "data" / "release_0_1_0.sql"
SCHEMA_OF_RELEASE = "0004"
DATABASE = "release_0_1_0"

# As the release's own `broker ledger verify` asked: what must be empty.
RULES_OF_RELEASE = {
    "every transfer sums to zero": """
        SELECT transfer_id FROM ledger_entries GROUP BY transfer_id, unit HAVING sum(amount) <> 0""",
    "balances are the sums of their entries": """
        SELECT a.id FROM ledger_accounts a LEFT JOIN ledger_entries e ON e.account_id = a.id
        GROUP BY a.id HAVING a.balance <> coalesce(sum(e.amount), 0)""",
    "legs captured what their captures say": """
        SELECT l.id FROM hold_legs l LEFT JOIN captures c ON c.leg_id = l.id WHERE l.unit <> 'micro_yuan'
        GROUP BY l.id HAVING l.captured <> coalesce(sum(c.quantity), 0)""",
    "every interval is captured whole": """
        SELECT e.run_id FROM usage_events e LEFT JOIN captures c ON (c.run_id, c.sequence) = (e.run_id, e.sequence)
        GROUP BY e.run_id, e.sequence, e.gpu_seconds, e.tokens
        HAVING coalesce(sum(c.quantity) FILTER (WHERE c.unit = 'gpu_seconds'), 0) <> e.gpu_seconds
            OR coalesce(sum(c.quantity) FILTER (WHERE c.unit = 'tokens'), 0) <> e.tokens""",
}
BOOKS = {
    "hours and tokens by account": """
        SELECT contract_id, unit, kind, grant_id, sum(balance) FROM ledger_accounts
        WHERE unit <> 'micro_yuan' AND kind IN ('granted', 'held', 'used', 'borne') GROUP BY 1, 2, 3, 4""",
    "usage": "SELECT run_id, sequence, gpu_seconds, tokens, started_at, ended_at FROM usage_events",
    "charged": """
        SELECT contract_id, job_id, month, unit, unit_price, borne, billable, grant_id, sum(quantity) FROM captures
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8""",
    "invoices": "SELECT id, number, kind, month, status, total_micros, finalized_at, paid_at FROM invoices",
    "lines": "SELECT invoice_id, position, kind, job_id, meter, quantity, unit_price, amount_micros FROM invoice_lines",
    "jobs": "SELECT id, status, used_gpu_seconds, used_tokens, cost_micros, borne_micros FROM jobs",
}


@dataclass(frozen=True)
class Migrated:
    """The release's database at today's schema, what its books said before, and which of its rules were broken."""

    urls: DatabaseUrls
    books_before: dict[str, list[str]]
    broken_before: dict[str, list[Any]]


@pytest.fixture(scope="module")
def migrated(server: EmbeddedServer) -> Iterator[Migrated]:
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    urls = DatabaseUrls(server.app_url(DATABASE), server.owner_url(DATABASE))
    assert urls.owner is not None
    command.upgrade(alembic_config(urls.owner), SCHEMA_OF_RELEASE)
    with owner_connection(urls) as connection:
        connection.execute("SET session_replication_role = replica")  # rows come in the order of their tables' names
        load_dump(connection, RELEASE)
        broken = {rule: connection.execute(query.encode()).fetchall() for rule, query in RULES_OF_RELEASE.items()}
    books = read_books(urls)
    command.upgrade(alembic_config(urls.owner), "head")
    yield Migrated(urls, books, {rule: rows for rule, rows in broken.items() if rows})
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())


def load_dump(connection: psycopg.Connection[Any], file: Path) -> None:
    """Load the COPY blocks and statements of a dump, instead of what the migrations put into its tables."""
    lines = iter(file.read_text(encoding="utf-8").splitlines(keepends=True))
    for line in lines:
        if line.startswith("COPY "):
            connection.execute(f"DELETE FROM {line.split()[1]}".encode())
            with connection.cursor().copy(line.rstrip(";\n").encode()) as copy:
                for row in iter(lines.__next__, "\\.\n"):
                    copy.write(row)
        elif line.startswith("SELECT "):
            connection.execute(line.encode())


def read_books(urls: DatabaseUrls) -> dict[str, list[str]]:
    with owner_connection(urls) as connection:
        return {
            name: sorted(str(tuple(row.values())) for row in connection.execute(query.encode()))
            for name, query in BOOKS.items()
        }


@pytest.fixture
async def system(migrated: Migrated, settings: Settings) -> AsyncIterator[System]:
    system = open_system(settings, migrated.urls.app)
    yield system
    await system.database.close()


def test_the_books_of_the_release_held_before(migrated: Migrated) -> None:
    assert migrated.broken_before == {}
    assert all(migrated.books_before.values()), "and there is something of every kind"


def test_balances_usage_charges_and_invoices_are_as_they_were(migrated: Migrated) -> None:
    assert read_books(migrated.urls) == migrated.books_before


async def test_every_rule_of_the_ledger_holds_after(system: System) -> None:
    assert await broken_rules(system) == {}


async def test_every_contract_has_a_balance(system: System, migrated: Migrated) -> None:
    with owner_connection(migrated.urls) as connection:
        ids = [str(row["id"]) for row in connection.execute("SELECT id FROM contracts")]
    async with system.work() as work:
        balances = [await read_contract_balance(work, contract_id) for contract_id in ids]
    assert sum(balance.granted_gpu_seconds for balance in balances) > 0


async def test_usage_charges_balances_and_invoices_reconcile(system: System) -> None:
    async with system.work() as work:
        links = await reconcile_books(work)
    assert [link.differences for link in links] == [[] for _link in links]
    assert all(link.totals for link in links)


async def test_beancount_derives_the_same_balances(system: System, tmp_path: Path) -> None:
    async with system.work() as work:
        pieces = list(await export_ledger(work))
    assert check_by_beancount("".join(pieces), tmp_path) == ""
    balance = next(number for number, piece in enumerate(pieces) if " balance Assets:Granted" in piece)
    pieces[balance] = pieces[balance].replace("  ", "  1", 1)
    assert "Balance failed" in check_by_beancount("".join(pieces), tmp_path)


def check_by_beancount(ledger: str, folder: Path) -> str:
    """Check a ledger by Beancount itself, as a program of its own; returns what it finds wrong."""
    file = folder / "ledger.beancount"
    file.write_text(ledger, encoding="utf-8")
    program = Path(sys.executable).with_name("bean-check")
    return subprocess.run([program, file], capture_output=True, text=True, check=False).stderr
