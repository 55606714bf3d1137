"""What credit notes and refunds give back of one advance at the same moment: together no more than was paid."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from broker import errors
from broker.billing.credit_notes import NewCreditNote, issue_credit_note
from broker.billing.crediting import CreditedLine
from broker.contracts import service as contracts
from broker.processes.boot import DatabaseUrls
from broker.signing.refunds import refund_grant
from broker.signing.unused import carry_grants
from broker.system import System
from broker.work import Work
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.jobs.admitting.test_submissions import until_waiting
from tests.broker.running_jobs import HOUR, broken_rules

GiveBack = Callable[[Work], Awaitable[Any]]


async def carry_to_renewal(api: Api, system: System, clock: ManualClock) -> tuple[str, str]:
    """Carry 500 hours on into a renewal; returns their grant there, and the invoice that was paid for them."""
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2026-12-01T00:00:00Z", rollover="carry")
    old = customer.contract["id"]
    new = (await api.post(f"/contracts/{old}/renewal", {"renew": True}))["id"]
    clock.advance(days=21)
    async with system.work() as work:
        locked = await contracts.lock_contracts(work, {old, new})
        (carried,) = await carry_grants(work, locked[old], locked[new])
    return carried.id, customer.contract["advance_invoice_id"]


@pytest.mark.parametrize("first", ["note", "refund"])
async def test_refund_of_carried_hours_and_a_note_on_their_old_contract_wait_for_each_other(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls, first: str
) -> None:
    """Each had the lock of its own contract, and did not see what the other was about to give back."""
    grant_id, invoice_id = await carry_to_renewal(api, system, clock)
    note = NewCreditNote(invoice_id, "goodwill", [CreditedLine(1, Money.from_decimal("2600.00"))])
    ways: dict[str, GiveBack] = {
        "note": lambda work: issue_credit_note(work, note),
        "refund": lambda work: refund_grant(work, grant_id),
    }

    async def give_back_later(way: GiveBack) -> Any:
        async with system.work() as work:
            return await way(work)

    other = ways.pop("refund" if first == "note" else "note")
    with psycopg.connect(urls.owner or "", autocommit=True) as watch:
        async with system.work() as work:
            await ways[first](work)
            later = asyncio.create_task(give_back_later(other))
            await until_waiting(watch)
    if first == "note":
        refund = await later
        assert (refund.quantity, refund.total) == (500 * HOUR, Money.zero())
    else:
        with pytest.raises(errors.InvalidRequest, match=r"0\.00 CNY of the invoice is left"):
            await later
    assert await broken_rules(system) == {}
