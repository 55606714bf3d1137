"""A price is asked of contract and moment: by the cards that the contract follows, in its own time zone."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from broker.contracts.terms.model import CardChoice, Overage
from pricing.plans import PlanName
from pricing.rate_card import RateCard, load_rate_cards
from tests.broker.contract_terms import make_terms
from tests.broker.rate_cards import make_half_price_card

CARD = load_rate_cards()["2026-01-01"]
HALF = make_half_price_card(date(2026, 11, 9))
SIGNED = make_terms(plan=PlanName.PREPAID, committed_gpu_hours=500, overage=Overage.BLOCK, cards=(CARD,))


@pytest.mark.parametrize("day", [1, 8, 9, 30])
def test_contract_keeps_the_prices_of_its_signing_whatever_is_published_later(day: int) -> None:
    assert SIGNED.prices_at(datetime(2026, 11, day, tzinfo=UTC)) == CARD.prices(PlanName.PREPAID)


@pytest.mark.parametrize(
    ("time_zone", "moment", "per_gpu_hour"),
    [
        ("Asia/Shanghai", datetime(2026, 11, 8, 15, 59, 59, tzinfo=UTC), "5.2"),
        ("Asia/Shanghai", datetime(2026, 11, 8, 16, 0, tzinfo=UTC), "2.6"),
        ("UTC", datetime(2026, 11, 8, 16, 0, tzinfo=UTC), "5.2"),
        ("UTC", datetime(2026, 11, 9, tzinfo=UTC), "2.6"),
    ],
)
def test_of_several_cards_that_of_the_day_in_the_contracts_zone_counts(
    time_zone: str, moment: datetime, per_gpu_hour: str
) -> None:
    follows = replace(SIGNED, time_zone=time_zone, cards=(CARD, HALF), card_choice=CardChoice.NEWEST)
    assert follows.prices_at(moment).per_gpu_hour == Decimal(per_gpu_hour)


def test_usage_from_before_the_contract_is_priced_as_its_first_day() -> None:
    begins = datetime(2026, 12, 1, tzinfo=UTC)
    later = replace(SIGNED, starts_at=begins, cards=(HALF,))
    assert later.prices_at(datetime(2001, 1, 1, tzinfo=UTC)) == later.prices_at(begins)


def test_hours_are_priced_by_their_gpu_type_and_tokens_are_not() -> None:
    dear = RateCard.from_json_dict({**CARD.to_json_dict(), "gpu_multipliers": {"h100-80g": "2.5"}})
    terms = replace(SIGNED, cards=(dear,))
    prices = terms.prices_at(SIGNED.starts_at, "h100-80g")
    assert (prices.per_gpu_hour, prices.per_token) == (Decimal(13), Decimal("0.00009"))
    assert terms.prices_at(SIGNED.starts_at) == terms.prices_at(SIGNED.starts_at, "rtx-3090")


@pytest.mark.parametrize(
    ("overage", "per_gpu_hour", "per_token"),
    [(Overage.ON_DEMAND, "6.8", "0.00012"), (Overage.CONTRACT, "5.2", "0.00009"), (Overage.BLOCK, "5.2", "0.00009")],
)
def test_overage_is_priced_by_the_same_card_as_the_contract_says(
    overage: Overage, per_gpu_hour: str, per_token: str
) -> None:
    prices = replace(SIGNED, overage=overage).overage_prices_at(datetime(2026, 11, 10, tzinfo=UTC))
    assert (prices.per_gpu_hour, prices.per_token) == (Decimal(per_gpu_hour), Decimal(per_token))
    assert prices.rate_card_version == CARD.version


def test_billing_month_is_that_of_the_contracts_zone_and_day() -> None:
    terms = replace(SIGNED, time_zone="UTC", billing_day=15)
    assert terms.billing_month(datetime(2026, 12, 14, 23, 59, tzinfo=UTC)) == "2026-11"
    assert terms.month_start("2026-11") == datetime(2026, 11, 15, tzinfo=UTC)
    assert terms.month_end("2026-11") == datetime(2026, 12, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time_zone", "day", "last_second_before"),
    [
        ("Asia/Shanghai", date(2028, 2, 29), datetime(2028, 2, 28, 15, 59, 59, tzinfo=UTC)),  # a leap day
        ("UTC", date(2028, 2, 29), datetime(2028, 2, 28, 23, 59, 59, tzinfo=UTC)),
        ("UTC", date(2028, 3, 1), datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("Europe/Berlin", date(2027, 3, 28), datetime(2027, 3, 27, 22, 59, 59, tzinfo=UTC)),  # clocks go forward
        ("Europe/Berlin", date(2027, 10, 31), datetime(2027, 10, 30, 21, 59, 59, tzinfo=UTC)),  # and back
        ("America/Santiago", date(2027, 9, 5), datetime(2027, 9, 5, 3, 59, 59, tzinfo=UTC)),  # it has no midnight
    ],
)
def test_a_card_takes_over_at_the_first_second_of_its_day_in_the_contracts_zone(
    time_zone: str, day: date, last_second_before: datetime
) -> None:
    follows = replace(
        SIGNED, time_zone=time_zone, cards=(CARD, make_half_price_card(day)), card_choice=CardChoice.NEWEST
    )
    assert follows.prices_at(last_second_before).rate_card_version == "2026-01-01"
    assert follows.prices_at(last_second_before + timedelta(seconds=1)).rate_card_version == "half"
