"""What is charged for hours that were committed to and not used."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.commitment import Attainment, compute_owed, count_carried, count_unused
from pricing.money import Money

HOUR, PRICE = 3600, Decimal("4.0")
COUNTS = st.integers(0, 10**11)


@pytest.mark.parametrize(
    ("used", "amount"),
    [(600 * HOUR, "5600.00"), (0, "8000.00"), (2000 * HOUR, "0.00"), (2400 * HOUR, "0.00"), (2000 * HOUR - 1, "0.00")],
)
def test_unused_hours_are_charged_at_the_contracts_price(used: int, amount: str) -> None:
    assert Attainment(2000 * HOUR, used, PRICE).true_up.format_amount() == amount


def test_what_is_used_beyond_a_commitment_is_not_less_than_unused() -> None:
    assert [Attainment(100, used, PRICE).unused for used in (99, 100, 101)] == [1, 0, 0]
    assert Attainment(100, 30, PRICE).expect(25) == Attainment(100, 55, PRICE)


@given(COUNTS, COUNTS)
def test_a_true_up_is_rounded_once_and_never_below_zero(committed: int, used: int) -> None:
    exact = Fraction(max(0, committed - used), HOUR) * 4
    assert Attainment(committed, used, PRICE).true_up == Money(round(exact * 100) * 10_000)


@given(COUNTS, COUNTS, COUNTS)
def test_more_usage_never_raises_a_true_up(committed: int, used: int, more: int) -> None:
    attained = Attainment(committed, used, PRICE)
    assert attained.expect(more).true_up <= attained.true_up


def year(committed: int, used: int, price: str = "4.0") -> Attainment:
    """Make a year's attainment. Units: GPU-hours; yuan per GPU-hour."""
    return Attainment(committed * HOUR, used * HOUR, Decimal(price))


@pytest.mark.parametrize(
    ("years", "owed"),
    [
        ([], []),
        ([year(1000, 400)], ["2400.00"]),
        # What the second year uses beyond its own, the first is not charged for any more.
        ([year(1000, 400), year(1000, 1200)], ["2400.00", "1600.00"]),
        ([year(1000, 400), year(1000, 1700)], ["2400.00", "0.00"]),
        # What the first uses beyond its own counts for the second.
        ([year(1000, 1300), year(1000, 400)], ["0.00", "1200.00"]),
        ([year(1000, 1300), year(1000, 800), year(500, 500)], ["0.00", "0.00", "0.00"]),
        ([year(1000, 1300), year(1000, 900), year(500, 100)], ["0.00", "0.00", "800.00"]),
        # Each year at its own price; hours that are used later are given back at the price they were charged at.
        ([year(10, 0, "4.0"), year(10, 0, "5.0")], ["40.00", "90.00"]),
        ([year(10, 0, "4.0"), year(10, 0, "5.0"), year(0, 12, "6.0")], ["40.00", "90.00", "32.00"]),
        ([year(10, 0, "4.0"), year(10, 0, "5.0"), year(0, 10, "6.0")], ["40.00", "90.00", "40.00"]),
    ],
)
def test_years_owe_together_what_the_term_has_not_used(years: list[Attainment], owed: list[str]) -> None:
    assert [compute_owed(years[: count + 1]).format_amount() for count in range(len(years))] == owed


def test_a_single_second_is_owed_and_given_back() -> None:
    fen_a_second = Decimal(36)
    one, two, used = Attainment(1, 0, fen_a_second), Attainment(2, 0, fen_a_second), Attainment(0, 1, fen_a_second)
    assert [compute_owed(each).format_amount() for each in ([one], [two, used], [one, used])] == [
        "0.01",
        "0.01",
        "0.00",
    ]


YEARS = st.lists(st.builds(Attainment, COUNTS, COUNTS, st.just(PRICE)), min_size=1, max_size=5)


@given(YEARS)
def test_true_ups_of_years_sum_to_the_price_of_the_commitment_less_what_was_used(years: list[Attainment]) -> None:
    owed = [compute_owed(years[:count]) for count in range(len(years) + 1)]
    charged = sum((later - former for former, later in pairwise(owed)), Money.zero())
    whole = Attainment(sum(each.committed for each in years), sum(each.used for each in years), PRICE)
    assert charged == compute_owed(years) == whole.true_up
    assert count_unused(years) == whole.unused
    assert count_unused(years) - count_carried(years) == whole.committed - whole.used


@given(YEARS, st.lists(st.sampled_from(["3.9", "4.0", "5.2"]), min_size=5, max_size=5))
def test_no_year_gives_back_more_than_was_charged(years: list[Attainment], prices: list[str]) -> None:
    priced = [replace(each, unit_price=Decimal(price)) for each, price in zip(years, prices, strict=False)]
    owed = [compute_owed(priced[:count]) for count in range(len(priced) + 1)]
    assert min(owed) == Money.zero()
    dearest = Attainment(count_unused(priced), 0, Decimal("5.2")).true_up
    assert Attainment(count_unused(priced), 0, Decimal("3.9")).true_up <= owed[-1] <= dearest
