"""A contract that was read before is known for as long as its rows, and the cards it follows, stay the same."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from broker.contracts.reading.candidates import find_contract, read_contract
from broker.contracts.tables import Contract
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms
from broker.persistence.read_cache import ReadCache
from broker.system import System
from broker.work import Work
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, amend_contract, make_customer, sign_contract
from tests.broker.rate_cards import publish_card, with_tiers


class Regret(Exception):
    """A transaction is rolled back."""


Read = tuple[ContractTerms, list[GrantTerms]]


async def read_in(work: Work, contract_id: str) -> Read:
    """Read a contract by what is known, which is what reading it anew would say."""
    contract_rows, grant_rows = await work.run_together(find_contract(contract_id, seen_by=None))
    known = await read_contract(work, contract_id, contract_rows, grant_rows)
    knows_nothing = replace(work, services=replace(work.services, rows=ReadCache()))
    assert known == await read_contract(knows_nothing, contract_id, contract_rows, grant_rows)
    return known


async def read(system: System, contract_id: str) -> Read:
    async with system.work() as work:
        return await read_in(work, contract_id)


async def sign(api: Api, **terms: Any) -> str:
    customer = await make_customer(api)
    return str((await sign_contract(api, customer["id"], **terms))["id"])


async def test_a_contract_whose_rows_stay_is_read_once(api: Api, system: System) -> None:
    contract_id = await sign(api)
    first, again = await read(system, contract_id), await read(system, contract_id)
    assert first[0] is again[0]


async def test_no_price_is_of_the_rows_of_before(api: Api, system: System, clock: ManualClock) -> None:
    """A card that comes, a grant that goes and an amendment are seen by the very next reading."""
    contract_id = await sign(api, rate_card="newest")
    given = {"contract_id": contract_id, "kind": "promotional", "gpu_hours": "7", "reason": "Welcome"}
    grant = await api.post("/grants", given, expect=201)
    terms, grants = await read(system, contract_id)
    assert [(each.id, each.status) for each in grants] == [(grant["id"], GrantStatus.ACTIVE)]
    tomorrow = clock.now + timedelta(days=1)
    assert terms.prices_at(tomorrow).per_gpu_hour == Decimal("3.4")

    plans = with_tiers()
    plans["on_demand"]["per_gpu_hour"] = "8"
    await publish_card(system, "dear", tomorrow.date(), plans=plans)
    terms, _grants = await read(system, contract_id)
    assert terms.prices_at(tomorrow).per_gpu_hour == 8

    await api.post(f"/grants/{grant['id']}/void", {"reason": "By mistake"})
    await amend_contract(api, contract_id, payment_days=45)
    terms, grants = await read(system, contract_id)
    assert ([each.status for each in grants], terms.payment_days) == ([GrantStatus.VOID], 45)


async def change_and_regret(system: System, contract_id: str) -> None:
    async with system.work() as work:
        await work.session.execute(update(Contract).where(Contract.id == contract_id).values(payment_days=99))
        assert (await read_in(work, contract_id))[0].payment_days == 99
        raise Regret


async def test_what_was_taken_back_is_not_known(api: Api, system: System) -> None:
    contract_id = await sign(api)
    before = await read(system, contract_id)
    with pytest.raises(Regret):
        await change_and_regret(system, contract_id)
    assert await read(system, contract_id) == before
