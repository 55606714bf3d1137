from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import AmountInvalid, CurrencyMismatch, Money, add_quotients, divide_half_even, round_to_fen

MICROS = st.integers(-(10**18), 10**18)
EXACT = st.fractions(min_value=-(10**12), max_value=10**12)
HALF_FEN = Fraction(1, 200)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("4200.00", 4_200_000_000), ("0.000001", 1), ("-0.5", -500_000), (Decimal("1E+3"), 1_000_000_000), (7, 7_000_000)],
)
def test_from_decimal_keeps_every_micro(text, micros):
    assert Money.from_decimal(text) == Money(micros, "CNY")


def test_from_decimal_ignores_trailing_zeros_beyond_the_sixth_place():
    assert Money.from_decimal("1.00000000") == Money(1_000_000)


@pytest.mark.parametrize("text", ["0.0000001", "1.1234567", "NaN", "Infinity", "", "a", "1e999999999", "1e-999999999"])
def test_from_decimal_refuses_what_is_no_amount(text):
    with pytest.raises(AmountInvalid) as caught:
        Money.from_decimal(text)
    assert caught.value.value == text


@pytest.mark.parametrize("value", [0.1, 1.0, None, Fraction(1, 2)])
def test_from_decimal_refuses_other_types(value):
    with pytest.raises(TypeError):
        Money.from_decimal(value)


def test_a_float_gets_in_nowhere():
    with pytest.raises(TypeError):
        Money(1.5)
    with pytest.raises(TypeError):
        Money.from_exact(1.5)
    with pytest.raises(TypeError):
        round_to_fen(1.5)
    with pytest.raises(TypeError):
        Money(1) * 1.5
    with pytest.raises(TypeError):
        Money(1) + 1


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (4_200_000_000, "4200.00"),
        (0, "0.00"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (1_500_000, "1.50"),
        (1_234_500, "1.2345"),
        (-4_120_000, "-4.12"),
    ],
)
def test_format_amount_shows_two_places_or_as_many_as_needed(micros, text):
    assert Money(micros).format_amount() == text
    assert str(Money(micros).to_decimal()) == text


@given(MICROS)
def test_an_amount_survives_its_text_and_its_decimal(micros):
    amount = Money(micros)
    assert Money.from_decimal(amount.format_amount()) == amount
    assert Money.from_decimal(amount.to_decimal()) == amount


def test_decimals_are_exact_whatever_the_decimal_context():
    amount = Money(123_456_789_012_345_678)
    with localcontext(prec=3):
        assert amount.to_decimal() == Decimal("123456789012.345678")
        assert Money.from_decimal("123456789012.345678") == amount


@given(MICROS, MICROS, MICROS)
def test_addition_is_associative_commutative_and_undone_by_subtraction(a, b, c):
    a, b, c = Money(a), Money(b), Money(c)
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert (a + b) - b == a
    assert a + (-a) == Money.zero()


@given(MICROS, st.integers(0, 50))
def test_multiplying_is_adding_many_times(micros, count):
    assert Money(micros) * count == sum([Money(micros)] * count, Money.zero()) == count * Money(micros)


def test_ten_times_a_dime_is_one_yuan():
    assert sum([Money.from_decimal("0.1")] * 10, Money.zero()) == Money.from_decimal(1)


@given(MICROS, MICROS)
def test_comparison_follows_the_micros(a, b):
    assert (Money(a) < Money(b)) == (a < b)
    assert (Money(a) <= Money(b)) == (a <= b)
    assert (Money(a) > Money(b)) == (a > b)
    assert (Money(a) >= Money(b)) == (a >= b)
    assert (Money(a) == Money(b)) == (a == b)


@pytest.mark.parametrize(
    "mix", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a <= b, max, lambda a, b: a >= b]
)
def test_currencies_do_not_mix(mix):
    with pytest.raises(CurrencyMismatch) as caught:
        mix(Money(1, "CNY"), Money(1, "USD"))
    assert {caught.value.left, caught.value.right} == {"CNY", "USD"}


def test_the_same_micros_of_two_currencies_are_not_equal():
    assert Money(1, "CNY") != Money(1, "USD")


def test_arithmetic_keeps_the_currency():
    dollar = Money(1_004_999, "USD")
    results = [dollar + dollar, dollar - dollar, -dollar, dollar * 2]
    assert {amount.currency for amount in results} == {"USD"}
    assert round_to_fen(Fraction(1), "USD") == Money(1_000_000, "USD")


@pytest.mark.parametrize(
    ("exact", "text"),
    [("0.005", "0.00"), ("0.015", "0.02"), ("0.025", "0.02"), ("-0.015", "-0.02"), ("1.006", "1.01")],
)
def test_a_half_fen_goes_to_the_even_neighbour(exact, text):
    assert round_to_fen(Fraction(exact)).format_amount() == text


def test_a_half_micro_goes_to_the_even_neighbour():
    assert Money.from_exact(Fraction(5, 10**7)) == Money(0)
    assert Money.from_exact(Fraction(15, 10**7)) == Money(2)


@given(EXACT)
def test_rounding_to_the_fen_is_off_by_half_a_fen_at_most(exact):
    rounded = round_to_fen(exact)
    assert rounded.micros % 10_000 == 0
    assert abs(Fraction(rounded.micros, 10**6) - exact) <= HALF_FEN


@given(EXACT)
def test_rounding_is_symmetric_and_rounding_again_changes_nothing(exact):
    assert round_to_fen(-exact) == -round_to_fen(exact)
    assert round_to_fen(Fraction(round_to_fen(exact).to_decimal())) == round_to_fen(exact)


@given(st.integers(), st.integers(min_value=1))
def test_a_quotient_is_rounded_as_its_fraction_is(dividend, divisor):
    assert divide_half_even(dividend, divisor) == round(Fraction(dividend, divisor))


@given(st.integers(), st.sampled_from([2, 200, 20_000]))
def test_halves_go_to_the_even_neighbour(whole, divisor):
    dividend = whole * divisor + divisor // 2
    assert divide_half_even(dividend, divisor) == round(Fraction(dividend, divisor)) == whole + whole % 2


def test_rounding_once_is_not_rounding_twice():
    exact = Fraction("0.0149999999")
    assert round_to_fen(exact).format_amount() == "0.01"
    assert round_to_fen(Fraction(Money.from_exact(exact).to_decimal())).format_amount() == "0.02"


@given(st.lists(st.tuples(st.integers(), st.integers(1, 10**9)), max_size=6))
def test_quotients_add_up_as_their_fractions_do(quotients):
    assert Fraction(*add_quotients(quotients)) == sum((Fraction(*each) for each in quotients), Fraction(0))
