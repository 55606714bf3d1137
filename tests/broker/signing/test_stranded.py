"""A compensation of a contract that has ended goes to another of its customer, or comes back as money."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.contracts import service as contracts
from broker.contracts.terms.model import GrantStatus
from broker.daemon.sweeps import Sweeps
from broker.signing.unused import is_stranded
from broker.system import System
from pricing.grants import GrantKind
from tests.broker.billing.invoicing import bill, read_money, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, sign_contract, upload_dataset
from tests.broker.ledger.correcting.test_compensation_sweep import SOON, list_compensations, lose
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, settle, start_job

AFTER = SOON + timedelta(days=31)


async def sweep(system: System) -> None:
    await Sweeps(system).expire_grants()


async def lose_hours(api: Api, system: System, clock: ManualClock, **terms: Any) -> Customer:
    """Lose 300 of 500 hours that were paid ahead by our doing, as their contract ends; 200 were never used."""
    customer = await make_ready_customer(api, plan="prepaid", ends_at=SOON.isoformat(), **terms)
    job = await start_job(system, customer, gpu_seconds=400 * HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=300 * HOUR)
    clock.now = SOON
    await sweep(system)
    await lose(system, job)
    await settle(system, job)
    await sweep(system)
    return customer


async def sign_other(api: Api, customer: Customer, **terms: Any) -> Customer:
    signed = await sign_contract(api, customer.id, **terms)
    return Customer(customer.id, signed, await upload_dataset(api, customer.id))


@pytest.mark.parametrize("signed", ["before", "later"])
async def test_it_is_used_under_another_contract_of_the_customer_within_its_days(
    api: Api, system: System, clock: ManualClock, signed: str
) -> None:
    customer = await lose_hours(api, system, clock)
    (made,) = await list_compensations(system, customer.contract["id"])
    assert made.free == 300 * HOUR
    if signed == "later":
        clock.now = SOON + timedelta(days=20)
    other = await sign_other(api, customer, starts_at=clock.now.isoformat())
    await sweep(system)
    (carried,) = await list_compensations(system, other.contract["id"])
    assert (carried.free, carried.terms.expires_at) == (300 * HOUR, SOON + timedelta(days=30))
    await use(system, other, 100 * HOUR)
    clock.now = AFTER
    await sweep(system)
    for of, month in ((other, "2026-11"), (other, "2026-12"), (customer, "2026-11")):
        clock.now = datetime.fromisoformat("2027-01-02T00:00:00+00:00")
        assert (await bill(api, of, month))["total"]["amount"] == "0.00"
    assert await read_money(system, other) == {"revenue": "-520.00", "breakage": "-1040.00"}
    assert await read_money(system, customer) == {"cash": "2600.00", "breakage": "-1040.00"}
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("tax", "money"),
    [
        ({}, {"cash": "2600.00", "breakage": "-1040.00", "refunds": "-1560.00"}),
        (
            {"tax_mode": "on_top", "tax_rate": "0.06"},
            {"cash": "2756.00", "breakage": "-1040.00", "refunds": "-1653.60", "tax": "-62.40"},
        ),
    ],
)
async def test_it_is_refunded_at_the_price_that_was_paid_where_no_contract_could_use_it(
    api: Api, system: System, clock: ManualClock, tax: dict[str, str], money: dict[str, str]
) -> None:
    customer = await lose_hours(api, system, clock, **tax)
    clock.now = AFTER
    await sweep(system)
    assert await read_money(system, customer) == money
    (made,) = await list_compensations(system, customer.contract["id"])
    assert (made.free, made.terms.status) == (0, GrantStatus.EXPIRED)
    refunded, *_more = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="grant_refunded"))["data"]
    assert (refunded["data"]["grant_id"], refunded["data"]["quantity"]) == (made.terms.id, 300 * HOUR)
    await bill(api, customer, "2026-11")
    assert await read_money(system, customer) == money
    assert await broken_rules(system) == {}


async def test_another_contract_of_the_same_plan_comes_before_others_and_none_of_another_customer(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await lose_hours(api, system, clock)
    await make_ready_customer(api)
    ended = customer.contract["id"]
    async with system.work() as work:
        assert await contracts.find_heir(work, ended) is None
    prepaid = await sign_other(api, customer, plan="prepaid", committed_gpu_hours=500, contract_number="B")
    await sign_other(api, customer, starts_at=clock.now.isoformat(), contract_number="C")
    later = (clock.now + timedelta(days=1)).isoformat()
    await sign_other(api, customer, plan="prepaid", committed_gpu_hours=500, starts_at=later, contract_number="D")
    async with system.work() as work:
        assert await contracts.find_heir(work, ended) == prepaid.contract["id"]
    # What came from elsewhere does not open the price of hours that are to be paid ahead.
    await sweep(system)
    async with system.work() as work:
        terms = await contracts.get_contract(work, prepaid.contract["id"])
        assert contracts.owes_advance(terms, await contracts.list_grants(work, terms.id))


async def test_a_gift_that_is_stranded_and_bought_hours_are_not_refunded(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at=SOON.isoformat())
    async with system.work() as work:
        terms = await contracts.get_contract(work, customer.contract["id"])
        (bought,) = await contracts.list_grants(work, terms.id)
    paid = replace(bought, kind=GrantKind.COMPENSATION, expires_at=SOON + timedelta(days=30))
    others = [
        replace(paid, kind=GrantKind.BOUGHT),
        replace(paid, advance=False),
        replace(paid, status=GrantStatus.EXPIRED),
        replace(paid, expires_at=SOON),
        replace(paid, expires_at=None),
    ]
    assert is_stranded(paid, terms)
    assert not any(is_stranded(each, terms) for each in others)
    assert not is_stranded(paid, replace(terms, ends_at=None))


async def test_where_prices_include_another_tax_it_does_not_go_but_is_refunded(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It went there once: what had been paid for it was worth less there, and the rest was lost as rounding."""
    customer = await lose_hours(api, system, clock)
    other = await sign_other(api, customer, starts_at=clock.now.isoformat(), tax_mode="included", tax_rate="0.06")
    await sweep(system)
    assert await list_compensations(system, other.contract["id"]) == []
    clock.now = AFTER
    await sweep(system)
    assert (await read_money(system, customer))["refunds"] == "-1560.00"
    assert await broken_rules(system) == {}
