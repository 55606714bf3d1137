from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import Money, round_to_fen
from pricing.plans import PlanName
from pricing.quote import compare_plans
from pricing.rate_card import load_rate_cards
from pricing.rating import NegativeUsage

CARD = load_rate_cards()["2026-01-01"]
PRICES = CARD.prices_by_plan()


def test_the_worked_month_is_exact_to_the_fen():
    prices = compare_plans(PRICES, gpu_seconds=30 * 3600, tokens=50_000, runs=20)
    assert [(p.plan, p.gpu_cost.format_amount(), p.token_cost.format_amount()) for p in prices] == [
        (PlanName.ON_DEMAND, "4080.00", "120.00"),
        (PlanName.PREPAID, "3120.00", "90.00"),
        (PlanName.LONG_TERM, "2400.00", "60.00"),
    ]
    assert [p.total.format_amount() for p in prices] == ["4200.00", "3210.00", "2460.00"]
    assert [p.saving_percent for p in prices] == [Decimal("0.00"), Decimal("23.57"), Decimal("41.43")]
    assert [p.yearly_saving.format_amount() for p in prices] == ["0.00", "11880.00", "20880.00"]


def test_one_run_of_the_worked_month():
    prices = compare_plans(PRICES, gpu_seconds=30 * 3600, tokens=50_000)
    assert [p.total.format_amount() for p in prices] == ["210.00", "160.50", "123.00"]


@given(st.integers(0, 10**9), st.integers(0, 10**12), st.integers(0, 1000))
def test_lines_are_whole_fen_and_add_up(gpu_seconds, tokens, runs):
    for price in compare_plans(PRICES, gpu_seconds=gpu_seconds, tokens=tokens, runs=runs):
        terms = CARD.terms(price.plan)
        assert price.gpu_cost == round_to_fen(Fraction(terms.per_gpu_hour) * gpu_seconds * runs / 3600)
        assert price.token_cost == round_to_fen(Fraction(terms.per_token) * tokens * runs)
        assert price.total == price.gpu_cost + price.token_cost


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_the_saving_is_what_the_totals_say(gpu_seconds, tokens):
    on_demand, *others = compare_plans(PRICES, gpu_seconds=gpu_seconds, tokens=tokens)
    assert on_demand.yearly_saving == Money.zero()
    for price in others:
        assert price.yearly_saving == (on_demand.total - price.total) * 12
        difference = abs(price.saving_percent * on_demand.total.micros / 100 - (on_demand.total - price.total).micros)
        assert difference <= Decimal("0.00005") * on_demand.total.micros


def test_many_small_runs_are_rounded_once_not_run_by_run():
    [on_demand, *_] = compare_plans(PRICES, gpu_seconds=1, tokens=0, runs=1000)
    assert on_demand.gpu_cost.format_amount() == "1.89"


def test_nothing_costs_nothing_and_saves_nothing():
    for price in compare_plans(PRICES, gpu_seconds=0, tokens=0):
        assert (price.total, price.saving_percent) == (Money.zero(), Decimal("0.00"))


def test_the_currency_is_that_of_the_card():
    card = CARD.model_copy(update={"currency": "USD"})
    assert {p.total.currency for p in compare_plans(card.prices_by_plan(), gpu_seconds=0, tokens=7)} == {"USD"}


def test_negative_usage_has_no_price():
    with pytest.raises(NegativeUsage):
        compare_plans(PRICES, gpu_seconds=-1, tokens=0)
