"""The catalogue's cards as a release starts: on a fresh installation all, later those whose day is to come."""

from datetime import date, timedelta

import pytest

from broker.contracts.cards.publishing import find_first_day
from broker.contracts.cards.shipped_cards import RateCardChanged, publish_rate_cards
from broker.system import System
from pricing.rate_card import RateCard, load_rate_cards
from tests.broker.conftest import START
from tests.broker.factories import Api, make_customer, sign_contract

CARDS = load_rate_cards()
FIRST_DAY = find_first_day(START)


def make_shipped(version: str, effective_from: date) -> RateCard:
    document = {**CARDS["2026-01-01"].to_json_dict(), "version": version, "effective_from": effective_from}
    plans = document["plans"]
    dear = {**plans["on_demand"], "per_gpu_hour": "9.9"}
    return RateCard.from_json_dict({**document, "plans": {**plans, "on_demand": dear}})


async def restart_with(system: System, *cards: RateCard) -> None:
    """Publish what a release ships, as its start does."""
    async with system.work() as work:
        await publish_rate_cards(work, CARDS | {card.version: card for card in cards})


async def list_versions(api: Api) -> set[str]:
    return {each["version"] for each in (await api.get("/rate-cards"))["data"]}


async def test_a_card_that_comes_too_late_prices_no_contract_anew(
    api: Api, system: System, caplog: pytest.LogCaptureFixture
) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], rate_card="newest")
    late, next_day = make_shipped("late", FIRST_DAY - timedelta(days=1)), make_shipped("next", FIRST_DAY)
    for _ in range(2):
        await restart_with(system, late, next_day)
    assert await list_versions(api) == {"2026-01-01", "half", "next"}
    assert (await api.get(f"/contracts/{contract['id']}"))["gpu_hour_price"] == contract["gpu_hour_price"]
    (told, _again) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "rate card late" in told
    assert f"from {FIRST_DAY} on" in told


async def test_a_fresh_installation_takes_cards_of_days_gone_by(api: Api, system: System) -> None:
    await restart_with(system, make_shipped("old", date(2026, 3, 1)))
    assert await list_versions(api) == {"2026-01-01", "half", "old"}


async def test_published_rate_card_cannot_be_published_with_other_prices(system: System) -> None:
    version, card = next(iter(CARDS.items()))
    with pytest.raises(RateCardChanged):
        async with system.work() as work:
            await publish_rate_cards(work, {version: card.model_copy(update={"currency": "USD"})})
