"""Migration 0138 tells lines of before what credit notes have given back of them."""

import pytest
from alembic import command
from sqlalchemy import select

from broker.ledger.tables import LineTotal
from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.billing.invoicing import bill_ten_hours
from tests.broker.billing.test_credit_notes import credit
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api

pytestmark = pytest.mark.slow


async def test_what_was_credited_before_is_known_of_its_line(
    api: Api, system: System, urls: DatabaseUrls, clock: ManualClock
) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    await credit(api, invoice, "20.00")
    await credit(api, invoice, "30.00")
    assert urls.owner is not None
    await system.database.close()
    command.downgrade(alembic_config(urls.owner), "0137")
    command.upgrade(alembic_config(urls.owner), "head")
    async with system.work() as work:
        assert list(await work.session.scalars(select(LineTotal.credited_micros))) == [50_000_000]
