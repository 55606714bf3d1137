"""Migration 0012 keeps what was billed: usage over a budget comes from another account, and is on the same invoice."""

from typing import Any

import psycopg
import pytest
from alembic import command

from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import Api, make_ready_customer
from tests.broker.rows import owner_connection, read_everything
from tests.broker.running_jobs import HOUR, RunningJob, broken_rules, read_balance, report_usage, start_job

BEFORE = "0011"
# As it was booked then: what went over the budget came from a source of its own.
BOOK_OVER_BUDGET = (
    """INSERT INTO ledger_accounts (id, customer_id, contract_id, unit, kind, may_go_negative, balance)
       SELECT 'acc_' || md5(id), customer_id, contract_id, unit, 'over_budget', true, 0
       FROM ledger_accounts WHERE kind = 'budget_issued'""",
    """UPDATE hold_legs SET account_id = (SELECT id FROM ledger_accounts WHERE kind = 'over_budget')
       WHERE unit = 'micro_yuan' AND position = (SELECT max(position) FROM hold_legs WHERE NOT borne)""",
    """UPDATE ledger_entries SET account_id = (SELECT id FROM ledger_accounts WHERE kind = 'over_budget')
       WHERE account_id IN (SELECT id FROM ledger_accounts WHERE kind = 'budget')
         AND transfer_id IN (SELECT id FROM ledger_transfers WHERE kind IN ('usage_captured', 'hold_extended'))""",
    """UPDATE ledger_accounts a
       SET balance = (SELECT coalesce(sum(amount), 0) FROM ledger_entries e WHERE e.account_id = a.id)""",
)

pytestmark = pytest.mark.slow


async def use_beyond_the_hold(api: Api, system: System) -> RunningJob:
    customer = await make_ready_customer(api, monthly_budget="10.00")
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=HOUR)
    await report_usage(system, job, gpu_seconds=900)
    return job


def run_as_owner(connection: psycopg.Connection[Any], statements: tuple[str, ...]) -> None:
    connection.execute("SET session_replication_role = replica")  # no triggers
    for statement in statements:
        assert connection.execute(statement.encode()).rowcount > 0, statement


async def test_usage_over_a_budget_stays_billed_and_the_books_hold(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    job = await use_beyond_the_hold(api, system)
    await system.database.close()
    assert urls.owner is not None
    command.downgrade(alembic_config(urls.owner), BEFORE)
    with owner_connection(urls) as connection:
        run_as_owner(connection, BOOK_OVER_BUDGET)
    booked, entries = read_everything(urls), read_entries(urls)
    command.upgrade(alembic_config(urls.owner), "head")
    assert await broken_rules(system) == {}
    balance = await read_balance(system, job.contract_id)
    assert balance.used_money.format_amount() == "8.50"
    with owner_connection(urls) as connection:
        kinds = connection.execute("SELECT DISTINCT kind FROM ledger_accounts WHERE unit = 'micro_yuan'").fetchall()
    assert {str(row["kind"]) for row in kinds} == {"budget_issued", "budget", "held", "used"}
    await system.database.close()
    command.downgrade(alembic_config(urls.owner), BEFORE)
    assert changed(booked, read_everything(urls)) <= {"ledger_entries"}, "and the way down brings back what was booked"
    assert read_entries(urls) == entries, "though its entries get other numbers"
    command.upgrade(alembic_config(urls.owner), "head")


def read_entries(urls: DatabaseUrls) -> list[dict[str, object]]:
    query = b"SELECT transfer_id, account_id, unit, amount FROM ledger_entries ORDER BY 1, 2, 3"
    with owner_connection(urls) as connection:
        return connection.execute(query).fetchall()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {table for table in before.keys() | after.keys() if before.get(table) != after.get(table)}
