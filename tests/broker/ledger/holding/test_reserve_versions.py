"""The version of a contract's reserves: another one where there is more or by other rules, and none where one takes."""

import pytest
from sqlalchemy import text

from broker.system import System
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import add_grant

VERSION = text("SELECT version FROM reserve_versions WHERE contract_id = :contract_id")
GRANTED = "UPDATE ledger_accounts SET balance = balance {} 1 WHERE contract_id = :contract_id AND kind = 'granted'"
HELD = "UPDATE ledger_accounts SET balance = balance + 1 WHERE contract_id = :contract_id AND kind <> 'granted'"


@pytest.mark.parametrize(
    ("change", "is_noted"),
    [
        ("UPDATE contracts SET overage = 'block' WHERE id = :contract_id", True),
        ("UPDATE grants SET status = 'expired' WHERE contract_id = :contract_id", True),
        (GRANTED.format("+"), True),
        (GRANTED.format("-"), False),
        (HELD, False),
    ],
)
async def test_a_version_changes_with_what_may_be_given(api: Api, system: System, change: str, is_noted: bool) -> None:
    contract = (await make_ready_customer(api)).contract["id"]
    await add_grant(system, contract, 3600)
    async with system.work() as work:
        before = await work.session.scalar(VERSION, {"contract_id": contract})
    async with system.work() as work:
        await work.session.execute(text(change), {"contract_id": contract})
        await work.session.execute(text(change), {"contract_id": contract})
        after = await work.session.scalar(VERSION, {"contract_id": contract})
    assert (after != before) == is_noted
