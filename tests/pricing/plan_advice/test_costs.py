"""What months cost on a plan: to the fen as invoices are, with what was committed to and not used."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.money import Money, round_to_fen
from pricing.plan_advice.costs import MonthUsage, PlanOption, compute_cost
from pricing.plans import PlanName
from pricing.rate_card import RateCard, load_rate_cards
from tests.properties import examples

CARD = load_rate_cards()["2026-01-01"]
HOUR = 3600


def make_card(**changed) -> RateCard:
    return RateCard.from_json_dict(CARD.to_json_dict() | changed)


def month(hours: int, tokens: int = 0, gpu_type: str | None = "rtx-4090") -> MonthUsage:
    return MonthUsage({gpu_type: hours * HOUR}, tokens)


@pytest.mark.parametrize(
    ("plan", "expected"), [("on_demand", "4200.00"), ("prepaid", "3210.00"), ("long_term", "2460.00")]
)
def test_the_worked_month_costs_what_the_mission_says(plan, expected) -> None:
    """20 runs of 30 GPU-hours and 50,000 tokens; each plan commits to exactly that much in a year."""
    committed = 0 if plan == "on_demand" else 7200
    cost = compute_cost(CARD, PlanOption(PlanName(plan), committed), [month(600, 1_000_000)] * 12)
    assert cost.total == Money.from_decimal(expected) * 12
    assert cost.unmet == Money.zero()


@pytest.mark.parametrize(
    ("hours", "gpu_hours", "unmet"),
    [
        ([0], "0", "216.67"),  # a twelfth of 500 hours
        ([41], "213.20", "3.47"),
        ([42], "218.94", "0"),  # a third of an hour is on demand: 2.27
        ([0] * 12, "0", "2600"),
        ([500] + [0] * 11, "2600", "0"),
        ([0] * 11 + [501], "2606.80", "0"),
        ([0] * 12 + [42], "218.94", "2600"),
    ],
)
def test_hours_bought_ahead_are_paid_whole_and_expire_with_their_year(hours, gpu_hours, unmet) -> None:
    cost = compute_cost(CARD, PlanOption(PlanName.PREPAID, 500), [month(each) for each in hours])
    assert (cost.gpu_hours, cost.unmet) == (Money.from_decimal(gpu_hours), Money.from_decimal(unmet))


@pytest.mark.parametrize(
    ("hours", "gpu_hours", "unmet"),
    [
        ([100] * 12, "4800", "3200"),
        ([200] * 12, "9600", "0"),
        ([0, 2000] + [0] * 10, "8000", "0"),
        ([166] * 6, "3984", "16"),
        ([0] * 12 + [2000] + [0] * 11, "8000", "8000"),
    ],
)
def test_a_commitment_is_trued_up_at_the_end_of_each_year(hours, gpu_hours, unmet) -> None:
    cost = compute_cost(CARD, PlanOption(PlanName.LONG_TERM, 2000), [month(each) for each in hours])
    assert (cost.gpu_hours, cost.unmet) == (Money.from_decimal(gpu_hours), Money.from_decimal(unmet))


def test_a_type_with_a_multiplier_is_not_paid_by_hours_bought_ahead_but_counts_for_a_commitment() -> None:
    card = make_card(gpu_multipliers={"h100-80g": "2.5"})
    months = [month(100, gpu_type="h100-80g")] * 12
    assert compute_cost(card, PlanOption(PlanName.ON_DEMAND, 0), months).total == Money.from_decimal("20400")
    ahead = compute_cost(card, PlanOption(PlanName.PREPAID, 1200), months)
    assert (ahead.gpu_hours, ahead.unmet) == (Money.from_decimal("20400"), Money.from_decimal("6240"))
    commit = compute_cost(card, PlanOption(PlanName.LONG_TERM, 2000), months)
    assert (commit.gpu_hours, commit.unmet) == (Money.from_decimal("12000"), Money.from_decimal("3200"))


def test_types_that_cost_the_same_are_rounded_together_as_on_an_invoice() -> None:
    """A second costs 0.00188… yuan: three of three types are 0.01 together, and nothing each by itself."""
    usage = MonthUsage({None: 1, "rtx-4090": 1, "a100-80g": 1}, 0)
    assert compute_cost(CARD, PlanOption(PlanName.ON_DEMAND, 0), [usage]).total == Money.from_decimal("0.01")


@pytest.mark.parametrize("plan", PlanName)
def test_costs_are_in_the_currency_of_the_card(plan) -> None:
    cost = compute_cost(make_card(currency="USD"), PlanOption(plan, 2000), [month(20, 1000)])
    assert cost.total.currency == "USD"


def test_volume_tiers_are_taken_off_each_month_by_itself() -> None:
    plans = CARD.to_json_dict()["plans"]
    tiers = {"gpu_hours": {"mode": "volume", "steps": [{"above": 100, "price": "6"}]}}
    plans["on_demand"]["tiers"] = tiers
    card = make_card(plans=plans)
    cost = compute_cost(card, PlanOption(PlanName.ON_DEMAND, 0), [month(100), month(200)])
    assert cost.gpu_hours == Money.from_decimal("2040")
    assert cost.tiers == Money.from_decimal("-160")
    assert cost.total == Money.from_decimal("1880")


@examples(50)
@given(
    hours=st.lists(st.integers(0, 10**7), min_size=1, max_size=30),
    committed=st.integers(500, 10**4),
    tokens=st.integers(0, 10**9),
)
def test_nothing_that_was_committed_to_is_free_and_nothing_is_paid_twice(hours, committed, tokens) -> None:
    months = [MonthUsage({None: seconds}, tokens) for seconds in hours]
    share, used = Fraction(committed * len(months), 12), Fraction(sum(hours), HOUR)
    # Each part is rounded by itself: by half a fen at most.
    roundings = Fraction(len(months) + 4, 200)
    ahead = compute_cost(CARD, PlanOption(PlanName.PREPAID, committed), months)
    assert exact(ahead.gpu_hours + ahead.unmet) >= share * Fraction("5.2") - roundings
    commit = compute_cost(CARD, PlanOption(PlanName.LONG_TERM, committed), months)
    assert exact(commit.gpu_hours + commit.unmet) >= max(share, used) * 4 - roundings
    assert commit.tokens == round_to_fen(tokens * Fraction("0.00006")) * len(months)


def exact(amount: Money) -> Fraction:
    return Fraction(amount.to_decimal())
