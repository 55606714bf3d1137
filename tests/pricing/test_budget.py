from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pricing.budget import JobNeed, buy_part, buy_usage, price_one_step
from pricing.money import Money
from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards
from pricing.rating import NegativeUsage
from pricing.usage import METERS, Unit, Usage
from pricing.usage_prices import PricedUnits, UsagePrices

CARD = load_rate_cards()["2026-01-01"]


def prices_of(plan: PlanName) -> UsagePrices:
    return UsagePrices.of_plan(CARD.prices(plan))


NEED = JobNeed(gpu_seconds=30 * 3600, tokens=50_000, steps=1000, steps_per_epoch=100)  # 210.00 on demand


@pytest.mark.parametrize(
    ("max_cost", "steps", "epochs", "percent", "cost"),
    [
        ("105.00", 500, "5.00", "50.00", "105.00"),
        ("104.99", 499, "4.99", "49.90", "104.79"),
        ("0.21", 1, "0.01", "0.10", "0.21"),
        ("0.209999", 0, "0.00", "0.00", "0.00"),
        ("0", 0, "0.00", "0.00", "0.00"),
        ("-1", 0, "0.00", "0.00", "0.00"),
        ("210.00", 1000, "10.00", "100.00", "210.00"),
        ("209.999999", 999, "9.99", "99.90", "209.79"),
        ("5000", 1000, "10.00", "100.00", "210.00"),
    ],
)
def test_money_buys_whole_steps(max_cost, steps, epochs, percent, cost):
    part = buy_part(prices_of(PlanName.ON_DEMAND), Money.from_decimal(max_cost), NEED)
    assert (part.steps, part.epochs, part.percent) == (steps, Decimal(epochs), Decimal(percent))
    assert part.cost.format_amount() == cost


def test_a_cheaper_plan_buys_more_steps_for_the_same_money():
    steps = [buy_part(prices_of(plan), Money.from_decimal("61.50"), NEED).steps for plan in PlanName]
    assert steps == [292, 383, 500]


def test_what_costs_nothing_is_bought_whole():
    nothing = JobNeed(gpu_seconds=0, tokens=0, steps=7, steps_per_epoch=7)
    part = buy_part(prices_of(PlanName.PREPAID), Money.zero(), nothing)
    assert (part.steps, part.percent, part.cost) == (7, Decimal("100.00"), Money.zero())


@given(
    st.integers(0, 10**12),
    st.integers(0, 10**7),
    st.integers(0, 10**9),
    st.integers(1, 10**6),
    st.sampled_from(PlanName),
)
def test_no_more_is_bought_than_paid_for_and_not_one_step_less(micros, gpu_seconds, tokens, steps, plan):
    max_cost = Money(micros)
    part = buy_part(prices_of(plan), max_cost, JobNeed(gpu_seconds, tokens, steps, steps))
    terms = CARD.terms(plan)
    lines = (Fraction(terms.per_gpu_hour) * gpu_seconds / 3600, Fraction(terms.per_token) * tokens)

    def is_paid(count: int) -> bool:
        exact = [line * count / steps for line in lines]
        in_fen = sum(round(line * 100) for line in exact)
        return sum(exact) * 10**6 <= micros and in_fen * 10**4 <= micros

    assert part.cost <= max_cost
    assert is_paid(part.steps)
    assert part.steps == steps or not is_paid(part.steps + 1)


def test_negative_need_has_no_price():
    with pytest.raises(NegativeUsage):
        buy_part(prices_of(PlanName.PREPAID), Money.zero(), JobNeed(-1, 0, 1, 1))


@given(
    st.integers(0, 10**12),
    st.integers(0, 10**7),
    st.integers(0, 10**9),
    st.sampled_from(PlanName),
)
@example(micros=6_000, gpu_seconds=4, tokens=0, plan=PlanName.ON_DEMAND)
@example(micros=500_000, gpu_seconds=3600, tokens=50_000, plan=PlanName.PREPAID)
def test_no_more_is_held_than_a_sum_pays_for_exactly_and_on_the_invoice(micros, gpu_seconds, tokens, plan):
    prices, money, need = prices_of(plan), Money(micros), Usage(gpu_seconds, tokens)
    held = buy_usage(prices, money, need)
    exact = prices.price(held.by_meter)
    invoiced = sum((prices.price_meter(meter, held.count(meter)) for meter in METERS), Money.zero())
    assert exact <= Fraction(micros, 10**6)
    assert invoiced <= money
    one_of_each_and_a_fen = prices.price(Usage(1, 1).by_meter) + Fraction(1, 100)
    assert held == need or exact > Fraction(micros, 10**6) - one_of_each_and_a_fen


def test_two_lines_that_are_rounded_up_together_are_held_below_the_sum():
    """Two lines of 0.015 are 0.03 exactly and 0.04 on the invoice."""
    prices = UsagePrices(Decimal(54), Decimal("0.0001"), "CNY")  # 0.015 a GPU-second
    held = buy_usage(prices, Money.from_decimal("0.03"), Usage(1, 150))
    assert held == Usage(0, 150)


@given(st.integers(0, 10**7), st.integers(0, 10**9), st.integers(1, 10**6), st.sampled_from(PlanName))
def test_price_of_one_step_is_the_least_that_buys_one(gpu_seconds, tokens, steps, plan):
    prices, need = prices_of(plan), JobNeed(gpu_seconds, tokens, steps, steps)
    least = price_one_step(prices, need)
    assert buy_part(prices, least, need).steps >= 1
    assert not least.micros or buy_part(prices, least - Money(1), need).steps == 0


def test_where_no_step_is_left_none_is_paid_for():
    assert price_one_step(prices_of(PlanName.PREPAID), JobNeed(10, 10, 0, 1)) == Money.zero()


def test_both_meters_are_held_in_the_same_share():
    need = Usage(30 * 3600, 50_000)
    held = buy_usage(prices_of(PlanName.ON_DEMAND), Money.from_decimal("105.00"), need)
    assert held == Usage(15 * 3600, 25_000)


GRANTED = st.lists(
    st.builds(PricedUnits, st.integers(0, 5_000), st.sampled_from([Decimal("4.9"), Decimal("5.2")]), st.booleans()),
    max_size=3,
).map(tuple)


@given(GRANTED, st.integers(0, 20 * 10**6), st.integers(0, 10_000), st.integers(0, 10_000))
def test_sum_is_bought_from_what_grants_pay_first_and_to_the_last_unit(granted, micros, gpu_seconds, tokens):
    prices = UsagePrices(Decimal("6.8"), Decimal("0.00012"), "CNY", {Unit.GPU_SECONDS: granted})
    money, need = Money(micros), Usage(gpu_seconds, tokens)
    held = buy_usage(prices, money, need)
    assert prices.pay_for(money, held.by_meter)
    assert held == need or not prices.pay_for(money, (held + Usage(1, 1)).by_meter)


def test_units_of_a_grant_are_a_line_at_their_price_and_the_rest_another():
    granted = {Unit.GPU_SECONDS: (PricedUnits(3600, Decimal(4), False), PricedUnits(3600, Decimal(4), True))}
    prices = UsagePrices(Decimal(6), Decimal("0.1"), "CNY", granted)
    assert prices.list_lines(Usage(9000, 2).by_meter) == [4, 4, 3, Fraction(2, 10)]
    assert prices.list_lines(Usage(1800, 0).by_meter) == [2]
