"""Which plan is advised: break-even points to the hundredth of an hour, worst case and regret."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import Money
from pricing.plan_advice.advice import Scenario, advise_plan, compute_break_even
from pricing.plan_advice.costs import MonthUsage, PlanOption, compute_cost
from pricing.plans import PlanName
from pricing.rate_card import RateCard, load_rate_cards
from tests.properties import examples

CARD = load_rate_cards()["2026-01-01"]
ON_DEMAND = PlanOption(PlanName.ON_DEMAND, 0)
BLOCK = PlanOption(PlanName.PREPAID, 500)
COMMIT = PlanOption(PlanName.LONG_TERM, 2000)


def month(hours: int, tokens: int = 0) -> MonthUsage:
    return MonthUsage({"rtx-4090": hours * 3600}, tokens)


def yuan(amount: str) -> Money:
    return Money.from_decimal(amount)


@pytest.mark.parametrize(("option", "hours"), [(BLOCK, "382.35"), (COMMIT, "1176.47")])
def test_a_commitment_pays_from_so_many_hours_on(option, hours) -> None:
    """Golden: 500 × 5.2 / 6.8 and 2000 × 4.0 / 6.8; a second less is dearer than on demand, a second more is not."""
    break_even = compute_break_even(CARD, option)
    assert round(Decimal(break_even.numerator) / break_even.denominator, 2) == Decimal(hours)
    below, above = (Fraction(break_even * 3600).__floor__() + more for more in (-10, 10))
    for seconds, is_dearer in ((below, True), (above, False)):
        months = [MonthUsage({None: seconds}, 0)] + [MonthUsage({}, 0)] * 11
        dearer = compute_cost(CARD, option, months).total > compute_cost(CARD, ON_DEMAND, months).total
        assert dearer is is_dearer


def test_of_equal_costs_the_smaller_commitment_is_advised() -> None:
    """Hours above a long-term commitment cost as much as those within it, so a steady customer commits to least."""
    advice = advise_plan(CARD, [month(600, 1_000_000)] * 12)
    assert [each.option.committed_gpu_hours for each in advice.options[:2]] == [2000, 7200]
    assert advice.advised.option == COMMIT
    assert advice.advised.cost.total == yuan("28800.00") + yuan("720.00")
    assert advice.advised.saving == (yuan("4200.00") - yuan("2460.00")) * 12
    assert advice.advised.regret == yuan("0.00")


def test_a_small_customer_stays_on_demand() -> None:
    advice = advise_plan(CARD, [month(10)] * 12)
    assert advice.advised.option == ON_DEMAND
    block = next(each for each in advice.options if each.option == BLOCK)
    assert block.saving == block.worst_case == yuan("816.00") - yuan("2600.00")
    assert block.regret == yuan("1784.00")


def test_a_customer_of_ups_and_downs_is_told_what_the_worst_year_costs() -> None:
    """Half of its months are idle: were all so, a commitment would be paid for nothing."""
    advice = advise_plan(CARD, [month(0), month(200)] * 6)
    judged = {each.option: each for each in advice.options}
    commit = judged[COMMIT]
    assert commit.saving == yuan("8160.00") - yuan("8000.00")
    assert commit.costs[Scenario.QUIETEST].total == yuan("8000.00")
    assert commit.worst_case == yuan("-8000.00")
    assert commit.costs[Scenario.BUSIEST].total == yuan("9600.00")
    assert commit.regret == yuan("8000.00")
    # On demand it would regret the busiest year: 2,400 hours at 6.8 in place of 4.0.
    assert judged[ON_DEMAND].regret == yuan("6720.00")
    assert judged[ON_DEMAND].worst_case == yuan("0.00")


def test_what_is_signed_already_is_judged_as_it_is() -> None:
    present = PlanOption(PlanName.PREPAID, 800)
    advice = advise_plan(CARD, [month(10)], [present])
    assert present in {each.option for each in advice.options}
    assert advice.break_even[present] == Fraction(800 * 52, 68)


def test_a_commitment_pays_beside_hours_of_less_than_a_yuan() -> None:
    told = CARD.to_json_dict()
    told["plans"]["on_demand"] |= {"per_gpu_hour": "0.68"}
    present = PlanOption(PlanName.PREPAID, 800)
    advice = advise_plan(RateCard.from_json_dict(told), [month(600)], [present])
    assert advice.break_even[present] == Fraction(800 * 520, 68)


def test_where_hours_on_demand_cost_nothing_no_commitment_ever_pays() -> None:
    told = CARD.to_json_dict()
    told["plans"]["on_demand"] |= {"per_gpu_hour": "0"}
    advice = advise_plan(RateCard.from_json_dict(told), [month(600)])
    assert advice.advised.option == ON_DEMAND
    assert advice.break_even == {}


def test_a_plan_paid_ahead_is_tried_with_the_hours_that_it_can_pay_for() -> None:
    card = RateCard.from_json_dict(CARD.to_json_dict() | {"gpu_multipliers": {"h100-80g": "2.5", "a100-80g": "2"}})
    advice = advise_plan(card, [MonthUsage({"h100-80g": 50 * 3600, None: 300 * 3600, "a100-80g": 3600}, 0)])
    assert {(each.option.plan, each.option.committed_gpu_hours) for each in advice.options} == {
        (PlanName.ON_DEMAND, 0),
        (PlanName.PREPAID, 500),
        (PlanName.PREPAID, 3600),
        (PlanName.LONG_TERM, 2000),
        (PlanName.LONG_TERM, 4212),
    }


def test_advice_without_a_month_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^advice needs"):
        advise_plan(CARD, [])


@examples(30)
@given(
    hours=st.lists(st.integers(0, 900), min_size=1, max_size=14),
    tokens=st.integers(0, 10**8),
    present=st.sampled_from([(), (PlanOption(PlanName.PREPAID, 777),)]),
)
def test_the_advised_option_is_regretted_least_and_no_order_of_quiet_and_busy_is_broken(hours, tokens, present) -> None:
    months = [month(each, tokens) for each in hours]
    advice = advise_plan(CARD, months, present)
    assert advice.advised.regret == min(each.regret for each in advice.options)
    assert len({each.option for each in advice.options}) == len(advice.options)
    for each in advice.options:
        assert each.regret >= yuan("0")
        assert each.worst_case <= each.saving
        quiet, was, busy = (
            each.costs[name].total for name in (Scenario.QUIETEST, Scenario.AS_IT_WAS, Scenario.BUSIEST)
        )
        assert quiet <= was <= busy
    cheapest = min(compute_cost(CARD, each.option, months).total for each in advice.options)
    assert min(each.cost.total for each in advice.options) == cheapest
