"""Drafts become final by themselves where the contract has agreed on it, or the installation has it so."""

from datetime import UTC, datetime

import pytest
from alembic import command

from broker.billing.closing.automatic import list_due_drafts
from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, amend_contract, make_ready_customer

# 2026-12-01 is a Tuesday: the days count from the first working day of December.
AGREED = ({}, {"finalizes": "automatic", "draft_working_days": 1}, {"finalizes": "by_hand"}, {"finalizes": "automatic"})


async def list_due_at(system: System, clock: ManualClock, drafts: list[str], *at: int) -> list[int]:
    clock.now = datetime(2026, 12, *at, tzinfo=UTC)
    async with system.work() as work:
        return sorted(drafts.index(each) for each in await list_due_drafts(work))


async def test_contract_agrees_on_who_finalizes_and_after_how_many_days(
    api: Api, system: System, clock: ManualClock
) -> None:
    customers = [await make_ready_customer(api, **terms) for terms in AGREED]
    clock.now = datetime(2026, 12, 1, 1, tzinfo=UTC)
    drafts = [
        (await api.post("/invoices", {"contract_id": each.contract["id"], "month": "2026-11"}, expect=201))["id"]
        for each in customers
    ]
    assert await list_due_at(system, clock, drafts, 1, 12) == []
    assert await list_due_at(system, clock, drafts, 3) == [1], "its own days are over"
    assert await list_due_at(system, clock, drafts, 20) == [1, 3]
    system.services.settings.finalizes = "automatic"
    assert await list_due_at(system, clock, drafts, 20) == [0, 1, 3], "one agreed that finance does"
    await amend_contract(api, customers[1].contract["id"], finalizes=None, draft_working_days=30)
    assert await list_due_at(system, clock, drafts, 20) == [0, 3]


async def test_way_down_is_refused_where_a_contract_agreed_on_its_drafts(api: Api, urls: DatabaseUrls) -> None:
    """An older release would make final by itself what finance is to look at, and cannot read the amendment."""
    customer = await make_ready_customer(api)
    await amend_contract(api, customer.contract["id"], finalizes="by_hand")
    with pytest.raises(Exception, match="agreed on their drafts"):
        command.downgrade(alembic_config(urls.owner or ""), "0104")
