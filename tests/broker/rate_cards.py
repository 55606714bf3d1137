"""A second rate card at half the price: a suite with one card alone cannot see that two places ask different ones."""

from datetime import date
from decimal import Decimal
from typing import Any

from broker.contracts.cards.shipped_cards import publish_rate_cards
from broker.system import System
from pricing.rate_card import RateCard, load_rate_cards

HALF_PRICE_FROM = date(2026, 11, 5)  # between the day on which tests sign and the day on which they begin


def make_half_price_card(effective_from: date) -> RateCard:
    """Make a card on which every price is half of the catalogue's first one."""
    document = load_rate_cards()["2026-01-01"].to_json_dict()
    for terms in document["plans"].values():
        for price in ("per_gpu_hour", "per_token"):
            terms[price] = str(Decimal(terms[price]) / 2)
    return RateCard.from_json_dict({**document, "version": "half", "effective_from": effective_from})


async def publish_half_price(system: System, effective_from: date) -> RateCard:
    """Publish the half-price card, in force from a day on."""
    card = make_half_price_card(effective_from)
    async with system.work() as work:
        await publish_rate_cards(work, {card.version: card})
    return card


async def publish_card(system: System, version: str, effective_from: date, **changes: Any) -> RateCard:
    """Publish the catalogue's first card with changes, in force from a day on."""
    document = load_rate_cards()["2026-01-01"].to_json_dict()
    card = RateCard.from_json_dict({**document, "version": version, "effective_from": effective_from, **changes})
    async with system.work() as work:
        await publish_rate_cards(work, {version: card})
    return card


def with_tiers(plan: str = "on_demand", **tiers: Any) -> dict[str, Any]:
    """Make the plans of the catalogue's first card, one of them with tiers of these meters."""
    plans: dict[str, Any] = load_rate_cards()["2026-01-01"].to_json_dict()["plans"]
    return {**plans, plan: {**plans[plan], "tiers": tiers}}
