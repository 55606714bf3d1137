from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards
from pricing.rating import NegativeUsage, UsageTotal, price_usage, rate_usage
from pricing.usage import METERS, Unit, UnknownMeter

CARD = load_rate_cards()["2026-01-01"]
ANY_METER = st.sampled_from(METERS)
QUANTITIES = st.integers(0, 10**12)
PRICES = st.decimals(0, 1000, places=6)


def test_gpu_seconds_are_priced_by_the_hour():
    assert price_usage(Unit.GPU_SECONDS, 30 * 3600, Decimal("6.8")) == 204
    assert price_usage(Unit.GPU_SECONDS, 1, Decimal("6.8")) == Fraction(68, 36000)


def test_tokens_are_priced_one_by_one():
    assert price_usage(Unit.TOKENS, 50_000, Decimal("0.00012")) == 6


@given(ANY_METER, st.lists(QUANTITIES, max_size=20), PRICES)
def test_the_price_of_parts_adds_up_without_drift(meter, parts, price):
    together = price_usage(meter, sum(parts), price)
    assert sum((price_usage(meter, part, price) for part in parts), Fraction(0)) == together


@given(ANY_METER, QUANTITIES, QUANTITIES, PRICES)
def test_more_usage_never_costs_less(meter, some, more, price):
    assert price_usage(meter, some, price) <= price_usage(meter, some + more, price)


def test_the_price_is_exact_whatever_the_decimal_context():
    with localcontext(prec=2):
        assert price_usage(Unit.TOKENS, 123_456_789, Decimal("0.00012")) == Fraction("14814.81468")


def test_negative_usage_is_refused():
    with pytest.raises(NegativeUsage) as caught:
        price_usage(Unit.TOKENS, -1, Decimal(1))
    assert (caught.value.meter, caught.value.quantity) == (Unit.TOKENS, -1)
    assert str(caught.value) == "usage of tokens cannot be negative, got -1"


def test_an_unknown_meter_is_refused():
    with pytest.raises(UnknownMeter, match="watt_hours"):
        price_usage("watt_hours", 1, Decimal(1))


@pytest.mark.parametrize(("quantity", "price"), [(1.5, Decimal(1)), (1, 0.1)])
def test_floats_are_refused(quantity, price):
    with pytest.raises(TypeError, match="a whole number and its price a Decimal"):
        price_usage(Unit.TOKENS, quantity, price)


def test_a_charge_says_what_it_was_priced_by():
    charge = rate_usage(UsageTotal(Unit.GPU_SECONDS, 7200), CARD.prices(PlanName.LONG_TERM))
    assert (charge.meter, charge.quantity, charge.unit_price) == (Unit.GPU_SECONDS, 7200, Decimal("4.0"))
    assert charge.exact == 8
    assert charge.rate_card_version == "2026-01-01"
