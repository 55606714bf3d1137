"""Numbers as people read them: exact, in the language of the page, and a dash where nothing is known."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.console.frame.formats import DASH, Formats
from pricing.money import Money

ENGLISH, CHINESE = Formats("en", "Asia/Shanghai"), Formats("zh", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("micros", "told"),
    [
        (4_200_000_000, "¥4,200.00"),
        (120, "¥0.000120"),
        (558_042, "¥0.558042"),
        (-41_430_000, "-¥41.43"),
        (0, "¥0.00"),
        (9_007_199_254_740_993_000_001, "¥9,007,199,254,740,993.000001"),
    ],
)
def test_money_is_told_to_the_fen_and_exactly_where_it_has_more(micros: int, told: str) -> None:
    assert ENGLISH.money(micros) == told
    assert CHINESE.money(Money(micros)) == told


def test_another_currency_has_its_own_sign() -> None:
    assert ENGLISH.money(Money(1_500_000, "USD")) == "$1.50"
    assert CHINESE.money(1_500_000, "USD") == "US$1.50"
    assert ENGLISH.money("-1380.50") == "-¥1,380.50"


@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_no_digit_of_an_amount_is_lost(micros: int) -> None:
    told = ENGLISH.money(micros).replace(",", "").replace("¥", "")
    assert Decimal(told) * 1_000_000 == micros


def test_hours_are_rounded_once() -> None:
    assert ENGLISH.hours(3600) == "1.00"
    assert ENGLISH.hours(12) == "0.00"
    assert ENGLISH.hours(12, 4) == "0.0033"
    assert ENGLISH.hours(1_800_000_000) == "500,000.00"


def test_shares_sizes_and_counts() -> None:
    assert ENGLISH.percent(Fraction(4143, 10_000), 2) == "41.43%"
    assert ENGLISH.percent(Decimal("0.5")) == "50.0%"
    assert [ENGLISH.data_size(size) for size in (0, 1023, 1024, 8 * 1024**2)] == [
        "0 B",
        "1,023 B",
        "1.0 KiB",
        "8.0 MiB",
    ]
    assert ENGLISH.number(134_515_008) == "134,515,008"


def test_moments_are_told_in_the_time_zone_of_the_house() -> None:
    moment = datetime(2026, 11, 30, 16, 5, 9, tzinfo=UTC)
    assert ENGLISH.moment(moment) == "2026-12-01 00:05"
    assert ENGLISH.clock(moment) == "00:05:09"
    assert ENGLISH.day(moment) == "2026-12-01"
    assert ENGLISH.day(date(2026, 11, 30)) == "2026-11-30"
    assert ENGLISH.ago(moment - timedelta(hours=3), moment) == "3 hours ago"
    assert CHINESE.ago(moment + timedelta(days=2), moment) == "2天后"
    assert ENGLISH.duration(90 * 60) == "2 hours"


def test_what_is_not_known_is_a_dash_and_no_nought() -> None:
    for write in ENGLISH.list_filters().values():
        arguments = [None, datetime(2026, 1, 1, tzinfo=UTC)] if write.__name__ == "ago" else [None]
        assert write(*arguments) == DASH
