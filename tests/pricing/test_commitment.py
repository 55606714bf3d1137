"""What is charged for hours that were committed to and not used."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.commitment import Attainment
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
