"""Prices of usage to come: lines as an invoice has them, in the currency of their card."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.budget import JobNeed, buy_part
from pricing.money import Money, round_to_fen
from pricing.rating import NegativeUsage
from pricing.usage import Unit
from pricing.usage_prices import MOST_KNOWN, PricedUnits, UsagePrices

PRICE = Decimal("3.6")  # a thousandth of a yuan a second


def make_prices(*granted: PricedUnits, currency: str = "CNY") -> UsagePrices:
    return UsagePrices(PRICE, Decimal("0.5"), currency, {Unit.GPU_SECONDS: granted})


def test_what_grants_pay_at_one_price_is_one_line_and_apart_where_an_advance_has_paid() -> None:
    paid, billed = PricedUnits(10, PRICE, billable=False), PricedUnits(10, PRICE, billable=True)
    lines = [
        make_prices(*granted).list_lines({Unit.GPU_SECONDS: 100})
        for granted in ([paid, paid, paid], [billed, billed], [paid, billed])
    ]
    thousandths = [[line * 1000 for line in each] for each in lines]
    assert thousandths == [[30, 70], [100], [10, 90]]


def test_amounts_are_in_the_currency_of_the_card() -> None:
    prices = make_prices(currency="USD")
    counts = {Unit.GPU_SECONDS: 1500, Unit.TOKENS: 1}
    assert prices.find_least(counts) == Money(2_000_000, "USD")
    assert prices.price_meter(Unit.GPU_SECONDS, 1500) == Money(1_500_000, "USD")
    need = JobNeed(gpu_seconds=1500, tokens=1, steps=1, steps_per_epoch=1)
    assert buy_part(prices, Money(2_000_000, "USD"), need).cost == Money(2_000_000, "USD")
    assert prices.price(counts) == Fraction(2)


def test_usage_below_zero_is_refused_by_its_meter_and_how_much_it_is() -> None:
    with pytest.raises(NegativeUsage) as caught:
        make_prices().price({Unit.TOKENS: -7})
    assert (caught.value.meter, caught.value.quantity) == (Unit.TOKENS, -7)


@given(
    gpu_seconds=st.integers(0, 10**7),
    tokens=st.fractions(0, 10**9, max_denominator=1000),
    granted=st.lists(st.integers(0, 10**5), max_size=3),
    micros=st.integers(0, 10**12),
)
def test_what_is_told_in_whole_numbers_is_what_fractions_tell(
    gpu_seconds: int, tokens: Fraction, granted: list[int], micros: int
) -> None:
    counts = {Unit.GPU_SECONDS: gpu_seconds, Unit.TOKENS: tokens}
    prices = make_prices(*(PricedUnits(each, Decimal("5.2"), billable=True) for each in granted))
    lines = prices.list_lines(counts)
    exact = sum(lines, Fraction(0))
    on_invoice = sum((round_to_fen(line) for line in lines), Money(0))
    assert prices.price(counts) == exact
    assert prices.price_up(counts) == math.ceil(exact * 10**6)
    assert prices.price_lines(counts) == on_invoice
    assert prices.pay_for(Money(micros), counts) == (exact * 10**6 <= micros and on_invoice.micros <= micros)
    assert prices.cost_more_than(make_prices(), counts) == (exact > make_prices().price(counts))


def test_no_more_than_so_much_usage_is_remembered_and_its_price_stays_the_same() -> None:
    prices = make_prices()
    told = [prices.price_up({Unit.GPU_SECONDS: count}) for count in range(3 * MOST_KNOWN)]
    assert told == [count * 1000 for count in range(3 * MOST_KNOWN)]
    assert len(prices._known) == MOST_KNOWN
