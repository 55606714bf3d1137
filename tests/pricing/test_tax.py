"""Tax on top and included, rounded once, beside the same in whole fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import Money, round_to_fen
from pricing.tax import NO_TAX, Tax, TaxMode

RATES = st.decimals(0, 1, places=4)
FEN = st.integers(-(10**12), 10**12).map(lambda fen: Money(fen * 10_000))


@pytest.mark.parametrize(
    ("mode", "rate", "amount", "tax"),
    [
        ("on_top", "0.06", "2600.00", "156.00"),
        ("included", "0.06", "2756.00", "156.00"),
        ("on_top", "0.13", "0.50", "0.06"),  # 0.065, half to the even fen
        ("on_top", "0.13", "-0.50", "-0.06"),
        ("included", "0.06", "0.01", "0.00"),
        ("on_top", "0", "100.00", "0.00"),
    ],
)
def test_tax_of_an_amount(mode: str, rate: str, amount: str, tax: str) -> None:
    computed = Tax(TaxMode(mode), Decimal(rate)).compute(Money.from_decimal(amount))
    assert computed.format_amount() == tax


def test_without_tax_there_is_none() -> None:
    assert NO_TAX.compute(Money.from_decimal("2600.00")) == Money.zero()


@given(FEN, RATES)
def test_tax_taken_out_of_an_amount_is_the_tax_on_what_is_left(amount: Money, rate: Decimal) -> None:
    tax = Tax(TaxMode.INCLUDED, rate).compute(amount)
    on_rest = Fraction((amount - tax).to_decimal()) * Fraction(rate)
    assert abs(on_rest - Fraction(tax.to_decimal())) <= Fraction(1, 100)


def test_tax_is_taken_out_only_where_it_is_included() -> None:
    amount = Money.from_decimal("1.13")
    assert Tax(TaxMode.INCLUDED, Decimal("0.13")).take_out(amount) == Money.from_decimal("1.00")
    assert Tax(TaxMode.ON_TOP, Decimal("0.13")).take_out(amount) == amount


@given(FEN, RATES)
def test_tax_on_top_is_the_rates_share_rounded_once(amount: Money, rate: Decimal) -> None:
    exact = Fraction(amount.to_decimal()) * Fraction(rate)
    assert Tax(TaxMode.ON_TOP, rate).compute(amount) == round_to_fen(exact)


def test_tax_is_in_the_currency_of_its_amount() -> None:
    assert Tax(TaxMode.ON_TOP, Decimal("0.06")).compute(Money.from_decimal("100.00", "USD")).currency == "USD"
