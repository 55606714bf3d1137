"""A contract pins a rate card or follows the newest; what it charged keeps the version that priced it."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, sign_contract
from tests.broker.http.test_paging import counted
from tests.broker.rate_cards import publish_card
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, report_usage, start_job

MIDNIGHT = datetime(2026, 11, 19, 16, tzinfo=UTC)  # of the 20th in Shanghai
DEAR_FROM = date(2026, 11, 20)


@pytest.fixture
async def dear(system: System) -> System:
    """Publish a card on which an hour on demand costs 8 yuan, from the 20th on."""
    card = await publish_card(system, "plain", date(2026, 11, 6))
    plans = card.to_json_dict()["plans"]
    plans["on_demand"]["per_gpu_hour"] = "8"
    await publish_card(system, "dear", DEAR_FROM, plans=plans)
    return system


@pytest.mark.parametrize(("choice", "after"), [("pinned", ("plain", "6.8")), ("newest", ("dear", "8"))])
async def test_a_contract_keeps_its_card_or_follows_the_newest(
    api: Api, dear: System, clock: ManualClock, choice: str, after: tuple[str, str]
) -> None:
    customer = await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z", rate_card=choice)
    path = f"/contracts/{customer.contract['id']}"
    clock.now = datetime(2026, 11, 19, 15, 59, 59, tzinfo=UTC)
    before = await api.get(path)
    assert (before["rate_card"], before["rate_card_version"], before["gpu_hour_price"]) == (choice, "plain", "6.8")
    clock.advance(seconds=1)
    now = await api.get(path)
    assert (now["rate_card_version"], now["gpu_hour_price"]) == after
    month = await api.get("/plan-comparison", gpu_hours=1, tokens=0, contract_id=customer.contract["id"])
    assert month["data"][0]["gpu_hour_price"] == after[1]


async def test_a_job_that_lives_over_the_change_is_charged_by_both_cards_each_for_its_time(
    api: Api, dear: System, clock: ManualClock
) -> None:
    """It was charged at the price that its hold had, under the version of the new card."""
    customer = await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z", rate_card="newest")
    clock.now = datetime(2026, 11, 19, 12, tzinfo=UTC)
    job = await start_job(dear, customer, gpu_seconds=3 * HOUR, tokens=0)
    clock.now = datetime(2026, 11, 20, tzinfo=UTC)
    second_before = datetime(2026, 11, 19, 15, 59, 59, tzinfo=UTC)
    await report_usage(dear, job, gpu_seconds=HOUR, ended_at=second_before)
    await report_usage(dear, job, gpu_seconds=HOUR, ended_at=MIDNIGHT)
    body = {"contract_id": customer.contract["id"], "month": "2026-11"}
    invoice = await api.post("/invoices", body, expect=201)
    lines = {line["rate_card_version"]: (line["quantity"], line["unit_price"]) for line in invoice["lines"]}
    assert lines == {"plain": (HOUR, "6.8"), "dear": (HOUR, "8")}
    assert invoice["total"]["amount"] == "14.80"
    balance = await read_balance(dear, customer.contract["id"])
    assert (balance.held_gpu_seconds, balance.used_gpu_seconds) == (HOUR, 2 * HOUR)
    assert await broken_rules(dear) == {}


async def test_hours_bought_ahead_keep_their_price_when_the_card_changes(
    api: Api, system: System, clock: ManualClock
) -> None:
    card = await publish_card(system, "plain", date(2026, 11, 6))
    plans = card.to_json_dict()["plans"]
    plans["prepaid"]["per_gpu_hour"] = "6"
    await publish_card(system, "dear", DEAR_FROM, plans=plans)
    customer = await make_ready_customer(api, plan="prepaid", starts_at="2026-11-08T00:00:00Z", rate_card="newest")
    clock.now = datetime(2026, 11, 20, tzinfo=UTC)
    job = await start_job(system, customer, gpu_seconds=HOUR, tokens=0)
    await report_usage(system, job, gpu_seconds=HOUR)
    body = {"contract_id": customer.contract["id"], "month": "2026-11"}
    lines = (await api.post("/invoices", body, expect=201))["lines"]
    assert {line["unit_price"] for line in lines} == {"5.2"}


async def test_a_card_that_is_superseded_can_be_pinned(api: Api, dear: System) -> None:
    customer = await make_ready_customer(api, starts_at="2026-11-21T00:00:00Z", rate_card_version="plain")
    assert (customer.contract["rate_card"], customer.contract["rate_card_version"]) == ("pinned", "plain")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"rate_card_version": "dear"}, "rate_card_version"),  # its prices begin after the contract does
        ({"rate_card_version": "nosuch"}, "rate_card_version"),
        ({"rate_card_version": "pl\x00ain"}, "rate_card_version"),
        ({"rate_card": "newest", "rate_card_version": "plain"}, "rate_card_version"),
        ({"rate_card": "cheapest"}, "rate_card"),
    ],
)
async def test_a_card_that_cannot_be_pinned_is_refused(
    api: Api, dear: System, terms: dict[str, Any], field: str
) -> None:
    customer = await api.post("/customers", {"name": "buyer"}, expect=201)
    problem = await sign_contract(api, customer["id"], expect=422, starts_at="2026-11-08T00:00:00Z", **terms)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert (await api.get("/contracts"))["data"] == []


async def test_one_price_on_two_cards_is_one_line_of_each_that_are_rounded_as_one(
    api: Api, system: System, clock: ManualClock
) -> None:
    """A new card that changes other plans alone: its line was told to be of the card before."""
    await publish_card(system, "plain", date(2026, 11, 6))
    await publish_card(system, "alike", DEAR_FROM)
    customer = await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z", rate_card="newest")
    job = await start_job(system, customer, gpu_seconds=60, tokens=0)
    clock.now = datetime(2026, 11, 20, tzinfo=UTC)
    await report_usage(system, job, gpu_seconds=2, ended_at=MIDNIGHT.replace(hour=15))
    await report_usage(system, job, gpu_seconds=3, ended_at=MIDNIGHT)
    body = {"contract_id": customer.contract["id"], "month": "2026-11"}
    invoice = await api.post("/invoices", body, expect=201)
    lines = {
        line["rate_card_version"]: (line["unit_price"], line["quantity"], line["amount"]["amount"])
        for line in invoice["lines"]
    }
    assert lines == {"plain": ("6.8", 2, "0.00"), "alike": ("6.8", 3, "0.01")}
    assert invoice["total"]["amount"] == "0.01", "five GPU-seconds, rounded once"
    assert await broken_rules(system) == {}


async def test_queries_of_contracts_that_follow_the_newest_do_not_grow_with_their_number(
    api: Api, dear: System
) -> None:
    async def sign(count: int) -> None:
        for _ in range(count):
            await make_ready_customer(api, starts_at="2026-11-08T00:00:00Z", rate_card="newest")

    async def count_queries() -> int:
        await api.get("/contracts")  # so that this process knows the cards
        with counted(dear) as statements:
            await api.get("/contracts")
        return len(statements)

    await sign(1)
    before = await count_queries()
    await sign(2)
    assert await count_queries() == before
