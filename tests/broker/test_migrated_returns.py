"""What open months had taken back of closed ones before 0053 is deferred again by it, as it is at once today."""

from datetime import UTC, datetime

import pytest
from alembic import command
from sqlalchemy import text

from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.reports.verify import CHECKS
from broker.system import System
from tests.broker.billing.invoicing import bill, read_money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.ledger.correcting.test_closed_months import DECEMBER, expire, take_back, use_and_close
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import broken_rules

THEIRS = "(SELECT id FROM ledger_transfers WHERE kind = 'advance_returned')"
SIDES = """UPDATE ledger_accounts a SET balance = a.balance {sign} e.amount
           FROM (SELECT {side}_account_id AS id, sum(amount) AS amount FROM ledger_entries
                 WHERE transfer_id IN {theirs} GROUP BY 1) e
           WHERE e.id = a.id"""
UNDO = (
    SIDES.format(sign="-", side="debit", theirs=THEIRS),
    SIDES.format(sign="+", side="credit", theirs=THEIRS),
    "DELETE FROM ledger_entries WHERE transfer_id IN (SELECT id FROM ledger_transfers WHERE kind = 'advance_returned')",
    "DELETE FROM ledger_transfers WHERE kind = 'advance_returned'",
)

pytestmark = pytest.mark.slow


def make_old(urls: DatabaseUrls) -> None:
    """Take out of the books what no release before had booked."""
    with owner_connection(urls) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in UNDO:
            assert connection.execute(statement.encode()).rowcount > 0, statement


async def is_broken(system: System, rule: str) -> bool:
    """Tell whether one rule is broken; others are of tables that the old database has not got."""
    (query,) = (check.query for check in CHECKS if check.rule == rule)
    async with system.work() as work:
        return bool((await work.session.execute(text(query))).all())


@pytest.mark.parametrize("over", [False, True])
async def test_what_came_back_of_a_closed_month_is_deferred_by_the_migration(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls, over: bool
) -> None:
    customer, job = await use_and_close(api, system, clock, tax_mode="included", tax_rate="0.06")
    if over:  # a compensation has what comes back
        await expire(system, customer, DECEMBER)
    await take_back(api, clock, job, 200)
    booked = await read_money(system, customer)
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    command.downgrade(config, "0052")
    make_old(urls)
    assert await is_broken(system, "what is deferred of a grant's advance is the price of what is not earned of it")
    command.upgrade(config, "head")
    assert await read_money(system, customer) == booked
    assert await broken_rules(system) == {}
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    await bill(api, customer, "2026-12")
    assert "rounding" not in await read_money(system, customer)
    assert await broken_rules(system) == {}
