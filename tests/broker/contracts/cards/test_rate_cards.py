"""The latest card whose day has come is in force, and a card is the same however often it is read."""

from datetime import date

import pytest

from broker.contracts.cards.rate_cards import rate_card_on
from broker.contracts.cards.shipped_cards import publish_rate_cards
from broker.system import System
from pricing.rate_card import NoPriceInForce, RateCard, load_rate_cards
from tests.broker.rate_cards import HALF_PRICE_FROM, make_half_price_card

# Of one day the later version counts, by its characters' codes: a language's own order would leave out the hyphen.
LATER = [("v10", date(2026, 7, 1)), ("v-2", date(2026, 7, 1)), ("V3", date(2026, 7, 1)), ("a", date(2026, 9, 1))]
IN_FORCE = [
    (date(2026, 6, 30), "2026-01-01"),
    (date(2026, 7, 1), "v10"),
    (date(2026, 8, 31), "v10"),
    (date(2026, 9, 1), "a"),
    (date(2026, 11, 4), "a"),
    (HALF_PRICE_FROM, "half"),
    (date(2030, 1, 1), "half"),
]


@pytest.fixture
async def cards(system: System) -> dict[str, RateCard]:
    """Publish the rate cards of the catalogue, and later ones."""
    card = next(iter(load_rate_cards().values()))
    changes = [{"version": version, "effective_from": day} for version, day in LATER]
    known = {**load_rate_cards(), "half": make_half_price_card(HALF_PRICE_FROM)}
    cards = {**known, **{str(each["version"]): card.model_copy(update=each) for each in changes}}
    async with system.work() as work:
        await publish_rate_cards(work, cards)
    return cards


@pytest.mark.parametrize(("day", "version"), IN_FORCE)
async def test_card_in_force_is_the_one_that_the_rule_chooses(
    system: System, cards: dict[str, RateCard], day: date, version: str
) -> None:
    for _ in range(2):
        async with system.work() as work:
            assert await rate_card_on(work, day) == cards[version]


async def test_before_the_first_card_there_is_no_price(system: System) -> None:
    async with system.work() as work:
        with pytest.raises(NoPriceInForce):
            await rate_card_on(work, date(2000, 1, 1))
