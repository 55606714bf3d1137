"""Grants that end while jobs hold of them: what leaves, what stays, and who pays."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from broker import errors
from broker.contracts import service as contracts
from broker.daemon.sweeps import Sweeps
from broker.ledger import service as ledger
from broker.ledger.grants.grant_balances import GrantBalance
from broker.system import System
from pricing.grants import GrantKind, GrantScope
from pricing.money import Money
from pricing.usage import Unit, Usage
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.running_jobs import (
    HOUR,
    add_grant,
    broken_rules,
    read_balance,
    read_hold,
    report_usage,
    settle,
    start_job,
)

PROMOTION = {"kind": GrantKind.PROMOTIONAL, "advance": False}


async def read_grant(system: System, grant_id: str) -> GrantBalance:
    async with system.work() as work:
        return (await ledger.read_grant_balances(work, [await contracts.get_grant(work, grant_id)]))[0]


async def expire_grants(system: System) -> None:
    await Sweeps(system).expire_grants()


async def void(system: System, grant_id: str) -> None:
    async with system.work() as work:
        await ledger.void_grant(work, grant_id, "signed twice")


def places_of(balance: GrantBalance) -> tuple[str, int, int, int, int]:
    return balance.terms.status.value, balance.free, balance.held, balance.used, balance.gone


async def captured(system: System, job_id: str) -> dict[str | None, int]:
    """Add up the GPU-seconds that each grant paid, and those that none did."""
    sums: Counter[str | None] = Counter()
    for leg in (await read_hold(system, job_id)).legs:
        sums[leg.grant_id] += leg.captured if leg.unit == "gpu_seconds" else 0
    return +sums


async def test_hold_of_an_expired_grant_pays_for_what_was_before_and_never_for_what_is_after(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    soon = START + timedelta(hours=1)
    grant = await add_grant(system, customer.contract["id"], 5000, expires_at=soon, **PROMOTION)
    job = await start_job(system, customer, gpu_seconds=4000, tokens=0)
    clock.now = soon + timedelta(minutes=5)
    await expire_grants(system)
    assert places_of(await read_grant(system, grant)) == ("expired", 0, 4000, 0, 1000)
    await report_usage(system, job, gpu_seconds=700, ended_at=soon - timedelta(microseconds=1))
    await report_usage(system, job, gpu_seconds=30, ended_at=soon)
    await report_usage(system, job, gpu_seconds=20)
    assert await captured(system, job.id) == {grant: 700, None: 50}
    await settle(system, job)
    await expire_grants(system)
    assert places_of(await read_grant(system, grant)) == ("expired", 0, 0, 700, 4300)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    assert await broken_rules(system) == {}


async def test_grant_never_pays_for_usage_from_before_it_began(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer, gpu_seconds=10, tokens=0)
    clock.advance(hours=2)
    grant = await add_grant(system, customer.contract["id"], 5000, effective_at=clock.now, **PROMOTION)
    await report_usage(system, job, gpu_seconds=100, ended_at=clock.now - timedelta(seconds=1))
    assert await captured(system, job.id) == {None: 100}
    await report_usage(system, job, gpu_seconds=100, ended_at=clock.now)
    assert await captured(system, job.id) == {None: 100, grant: 100}


async def test_void_grant_gives_its_unused_part_back_and_later_what_its_holds_let_go(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    grant = await add_grant(system, customer.contract["id"], 5000, **PROMOTION)
    job = await start_job(system, customer, gpu_seconds=4000, tokens=0)
    await void(system, grant)
    await void(system, grant)
    await report_usage(system, job, gpu_seconds=100)
    assert places_of(await read_grant(system, grant)) == ("void", 0, 3900, 100, 1000)
    await settle(system, job)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    await expire_grants(system)
    assert places_of(await read_grant(system, grant)) == ("void", 0, 0, 100, 4900)
    assert (await read_balance(system, customer.contract["id"])).granted_gpu_seconds == 100
    assert await broken_rules(system) == {}


async def test_only_an_active_grant_is_made_void(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    grant = await add_grant(system, customer.contract["id"], 5000, expires_at=START + timedelta(hours=1), **PROMOTION)
    clock.advance(hours=1)
    await expire_grants(system)
    with pytest.raises(errors.IllegalTransition, match="expired"):
        await void(system, grant)


async def test_resumed_job_lets_go_what_it_held_of_an_expired_grant(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    soon = START + timedelta(minutes=30)
    grant = await add_grant(system, customer.contract["id"], 5000, expires_at=soon, **PROMOTION)
    job = await start_job(system, customer, gpu_seconds=4000, tokens=0)
    clock.now = soon
    async with system.work() as work:
        await ledger.adjust_hold(work, job.id, needs={None: Usage(4000)})
    legs = {leg.grant_id: leg.held - leg.released for leg in (await read_hold(system, job.id)).legs if leg.unit_price}
    assert legs == {grant: 0, None: 4000}
    assert await broken_rules(system) == {}


async def test_scope_decides_whose_usage_a_grant_pays(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    project = (await api.post("/projects", {"customer_id": customer.id, "name": "styles"}, expect=201))["id"]
    own = {
        "project": await add_grant(
            system, customer.contract["id"], 100, scope=GrantScope(project_id=project), **PROMOTION
        ),
        "other type": await add_grant(
            system, customer.contract["id"], 100, scope=GrantScope(gpu_type="rtx-4090"), **PROMOTION
        ),
        "tokens": await add_grant(system, customer.contract["id"], 100, scope=GrantScope(Unit.TOKENS), **PROMOTION),
    }
    inside = await start_job(system, customer, gpu_seconds=70, tokens=60, project_id=project)
    outside = await start_job(system, customer, gpu_seconds=70, tokens=60)

    async def held(job: Any) -> dict[tuple[str, str | None], int]:
        return {(leg.unit, leg.grant_id): leg.held for leg in (await read_hold(system, job.id)).legs if leg.unit_price}

    tokens = own["tokens"]
    assert await held(inside) == {("gpu_seconds", own["project"]): 70, ("tokens", tokens): 60}
    assert await held(outside) == {("gpu_seconds", None): 70, ("tokens", tokens): 40, ("tokens", None): 20}
    await report_usage(system, inside, gpu_seconds=120, tokens=60)
    assert await captured(system, inside.id) == {own["project"]: 100, None: 20}
    assert await broken_rules(system) == {}


async def test_submitted_job_knows_its_project_and_gpu_type(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    project = (await api.post("/projects", {"customer_id": customer.id, "name": "styles"}, expect=201))["id"]
    grant = await add_grant(
        system, customer.contract["id"], 50 * HOUR, scope=GrantScope(project_id=project, gpu_type="cpu"), **PROMOTION
    )
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id, project_id=project)
    legs = (await read_hold(system, job["id"])).legs
    assert {leg.grant_id for leg in legs if leg.unit == "gpu_seconds"} == {grant}


@pytest.mark.parametrize("early_comes", ["first", "last"])
@pytest.mark.parametrize("parts", [[500], [100, 150, 250]])
async def test_grant_given_to_a_running_job_pays_from_then_on_before_what_it_holds_beside(
    api: Api, system: System, clock: ManualClock, parts: list[int], early_comes: str
) -> None:
    customer = await make_ready_customer(api, monthly_budget="100.00")
    job, other = [await start_job(system, customer, gpu_seconds=1000, tokens=0) for _each in range(2)]
    await report_usage(system, job, gpu_seconds=100)
    clock.advance(minutes=5)
    early = clock.now - timedelta(seconds=1)
    grant = await add_grant(system, customer.contract["id"], 300, effective_at=clock.now, **PROMOTION)
    before = [(other, 50, early)]
    since = [(job, quantity, clock.now) for quantity in parts]
    for one, quantity, ended_at in before + since if early_comes == "first" else since + before:
        await report_usage(system, one, gpu_seconds=quantity, ended_at=ended_at)
    assert await captured(system, other.id) == {None: 50}
    assert await captured(system, job.id) == {None: 300, grant: 300}
    legs = [leg for leg in (await read_hold(system, job.id)).legs if leg.unit == "gpu_seconds"]
    assert sum(leg.held - leg.released for leg in legs) == 1000  # what the grant pays is not held twice
    for each in (job, other):
        await settle(system, each)
    balance = await read_balance(system, customer.contract["id"])
    assert (balance.used_money, balance.held_money) == (Money.from_decimal("0.66"), Money.zero())
    assert await broken_rules(system) == {}
