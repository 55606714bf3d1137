"""Amendments as pure rules: what may be changed from when on, what that brings with it, and how many hours it adds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.contracts.amendments import NewAmendment, PlannedAmendment, plan_amendment
from broker.contracts.changes import TermsChange, find_values, read_changes
from broker.contracts.model import ContractTerms, Overage
from pricing.plans import PlanName
from tests.broker.contract_terms import make_terms

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC)
NOW = datetime(2027, 5, 2, 12, tzinfo=UTC)  # half of the term is over
SIGNED = make_terms(
    plan=PlanName.PREPAID,
    committed_gpu_hours=500,
    overage=Overage.BLOCK,
    time_zone="UTC",
    starts_at=START,
    ends_at=END,
    contract_number="HT-1",
)
ON_DEMAND = replace(SIGNED, plan=PlanName.ON_DEMAND, committed_gpu_hours=0, overage=Overage.CONTRACT, ends_at=None)
LONG_TERM = replace(SIGNED, plan=PlanName.LONG_TERM, committed_gpu_hours=2000, overage=Overage.CONTRACT)


def amend(terms: ContractTerms = SIGNED, *, at: datetime | None = None, **values: Any) -> PlannedAmendment:
    return plan_amendment(terms, NewAmendment(terms.id, values, at), NOW)


def confirmed(planned: PlannedAmendment) -> ContractTerms:
    """Make the terms as a row holds them once the amendment is confirmed."""
    names = ("plan", "committed_gpu_hours", "overage", "monthly_budget_micros", "budget_hard_stop")
    first = TermsChange(START, {name: getattr(planned.terms.at(START), name) for name in names})
    earlier = planned.terms.changes or (first,)
    at_once = {k: v for k, v in planned.values.items() if k in {"ends_at", "contract_number"}}
    return replace(planned.terms, **at_once, changes=(*earlier, planned.change))


@pytest.mark.parametrize(
    ("terms", "values", "seconds", "amount"),
    [
        (SIGNED, {"committed_gpu_hours": 1000}, 250 * 3600, "1300.00"),
        (SIGNED, {"committed_gpu_hours": 501}, 1800, "2.60"),
        (LONG_TERM, {"committed_gpu_hours": 3000}, 500 * 3600, "2000.00"),
        (LONG_TERM, {"committed_gpu_hours": 2000, "purchase_order": "PO"}, 0, "0.00"),
        (replace(LONG_TERM, committed_gpu_hours=3000), {"committed_gpu_hours": 2000}, 0, "0.00"),
        (ON_DEMAND, {"plan": PlanName.PREPAID, "committed_gpu_hours": 500}, 500 * 3600, "2600.00"),
        (SIGNED, {"plan": PlanName.LONG_TERM, "committed_gpu_hours": 2000}, 2000 * 3600, "8000.00"),
        (SIGNED, {"plan": PlanName.ON_DEMAND}, 0, "0.00"),
    ],
)
def test_added_hours_are_those_of_a_new_plan_or_the_share_of_the_time_left(
    terms: ContractTerms, values: dict[str, Any], seconds: int, amount: str
) -> None:
    planned = amend(terms, **values)
    assert (planned.added_gpu_seconds, planned.amount.format_amount()) == (seconds, amount)


@given(hours=st.integers(501, 10_000), left=st.integers(1, 364 * 86400))
def test_added_hours_are_prorated_exactly(hours: int, left: int) -> None:
    moment = END - timedelta(seconds=left)
    planned = plan_amendment(SIGNED, NewAmendment("con_1", {"committed_gpu_hours": hours}), moment)
    exact = Fraction((hours - 500) * 3600 * left, 365 * 86400)
    assert abs(planned.added_gpu_seconds - exact) <= Fraction(1, 2)


def test_hours_that_are_changed_again_count_from_the_plans_own_beginning() -> None:
    first = amend(ON_DEMAND, plan=PlanName.LONG_TERM, committed_gpu_hours=2000, ends_at=NOW + timedelta(days=100))
    later = NOW + timedelta(days=50)
    second = plan_amendment(confirmed(first), NewAmendment("con_1", {"committed_gpu_hours": 3000}), later)
    assert second.added_gpu_seconds == 500 * 3600


def test_plan_on_demand_gives_up_hours_and_lets_jobs_run() -> None:
    planned = amend(plan=PlanName.ON_DEMAND)
    assert planned.values == {"plan": "on_demand", "committed_gpu_hours": 0, "overage": "contract"}


def test_plan_that_commits_gets_an_end() -> None:
    planned = amend(ON_DEMAND, plan=PlanName.LONG_TERM, committed_gpu_hours=2000)
    assert planned.values["ends_at"] == datetime(2028, 5, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("terms", "at", "values", "field"),
    [
        (SIGNED, START - timedelta(seconds=1), {"committed_gpu_hours": 600}, "effective_at"),
        (SIGNED, NOW - timedelta(seconds=1), {"committed_gpu_hours": 600}, "effective_at"),
        (SIGNED, END, {"committed_gpu_hours": 600}, "effective_at"),
        (SIGNED, NOW + timedelta(days=1), {"ends_at": END + timedelta(days=1)}, "effective_at"),
        (SIGNED, NOW + timedelta(days=1), {"contract_number": "HT-2"}, "effective_at"),
        (SIGNED, datetime(2027, 6, 2, tzinfo=UTC), {"monthly_budget_micros": 10**9}, "effective_at"),
        (SIGNED, None, {"ends_at": NOW}, "ends_at"),
        (SIGNED, None, {"ends_at": None}, "ends_at"),
        (SIGNED, None, {"committed_gpu_hours": 499}, "committed_gpu_hours"),
        (replace(SIGNED, committed_gpu_hours=900), None, {"committed_gpu_hours": 500}, "committed_gpu_hours"),
        (ON_DEMAND, None, {"committed_gpu_hours": 1}, "committed_gpu_hours"),
        (ON_DEMAND, None, {"plan": PlanName.PREPAID}, "committed_gpu_hours"),
        (SIGNED, None, {"plan": PlanName.ON_DEMAND, "overage": Overage.BLOCK}, "overage"),
    ],
)
def test_amendment_that_makes_no_sense_is_refused_by_its_field(
    terms: ContractTerms, at: datetime | None, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.DomainError) as refused:
        amend(terms, at=at, **values)
    assert refused.value.errors[0].field == field


def test_amendment_that_changes_nothing_or_comes_too_late_is_refused() -> None:
    with pytest.raises(errors.InvalidRequest):
        amend(committed_gpu_hours=500)
    for over in (replace(SIGNED, ends_at=NOW), replace(SIGNED, cancelled_at=NOW)):
        with pytest.raises(errors.IllegalTransition):
            amend(over, committed_gpu_hours=600)


def test_amendments_take_effect_in_their_order() -> None:
    planned = confirmed(amend(at=NOW + timedelta(days=9), committed_gpu_hours=600))
    with pytest.raises(errors.InvalidRequest, match="effective_at"):
        amend(planned, overage=Overage.CONTRACT)


@pytest.mark.parametrize(("seconds", "price"), [(-1, "5.2"), (0, "6.8"), (1, "6.8")])
def test_prices_are_those_of_the_plan_at_the_moment(seconds: int, price: str) -> None:
    moment = NOW + timedelta(days=3)
    terms = confirmed(amend(at=moment, plan=PlanName.ON_DEMAND))
    assert terms.prices_at(moment + timedelta(seconds=seconds)).per_gpu_hour == Decimal(price)
    assert terms.prices_at(START - timedelta(days=1)).per_gpu_hour == Decimal("5.2")


def test_overage_is_priced_as_it_is_at_the_moment() -> None:
    terms = confirmed(amend(replace(SIGNED, overage=Overage.CONTRACT), overage=Overage.ON_DEMAND))
    prices = [terms.overage_prices_at(NOW + timedelta(seconds=each)).per_gpu_hour for each in (-1, 0)]
    assert prices == [Decimal("5.2"), Decimal("6.8")]


def test_budget_of_a_month_is_the_one_it_ends_with() -> None:
    terms = confirmed(amend(replace(SIGNED, monthly_budget_micros=100), monthly_budget_micros=300))
    later = confirmed(amend(terms, at=datetime(2027, 7, 1, tzinfo=UTC), budget_hard_stop=False))
    months = ("2027-04", "2027-05", "2027-06", "2027-07", "2028-01")
    assert [later.find_budget(month) for month in months] == [100, 300, 300, None, None]
    assert [later.find_watched_budget(month) for month in months] == [100, 300, 300, 300, 300]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b"]), st.integers()), max_size=6), st.integers(-1, 6)
)
def test_values_at_a_moment_are_the_last_of_each_name_before_it(drawn: list[tuple[int, str, int]], moment: int) -> None:
    def at(day: int) -> datetime:
        return START + timedelta(days=day)

    signed = TermsChange(at(0), {"a": 0, "b": 0})
    changes = sorted((TermsChange(at(day), {name: value}) for day, name, value in drawn), key=lambda c: c.effective_at)
    read = read_changes([change.to_json_dict() for change in changes], {}, signed)
    expected = {"a": 0, "b": 0}
    for change in changes:
        if change.effective_at <= at(moment):
            expected |= change.values
    assert (find_values(read, at(moment)) or {"a": 0, "b": 0}) == expected
