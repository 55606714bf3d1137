"""Amendments as pure rules: what may be changed from when on, what that brings with it, and how many hours it adds."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.contracts.amendment.amendments import PlannedAmendment, plan_amendment
from broker.contracts.amendment.new_amendment import NewAmendment, UnusedGrants
from broker.contracts.keeping.rows import CHANGING, READERS
from broker.contracts.terms.agreed import ArrearsTerms, Finalizing
from broker.contracts.terms.changes import TermsChange, find_values, read_changes
from broker.contracts.terms.model import CardChoice, ContractTerms, Overage, QuoteGuarantee
from pricing.plans import PlanName
from pricing.tax import Tax, TaxMode
from tests.broker.contract_terms import make_terms

JUNE = datetime(2027, 6, 1, tzinfo=UTC)
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
    first = TermsChange(START, {name: getattr(planned.terms.at(START), name) for name in CHANGING})
    changes = (*(planned.terms.changes or (first,)), planned.make_change("amd_1"))
    ends_at = planned.values.get("ends_at", planned.terms.ends_at)
    return replace(planned.terms, ends_at=ends_at, changes=tuple(sorted(changes, key=lambda c: c.effective_at)))


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
        (SIGNED, NOW + timedelta(days=2), {"ends_at": NOW + timedelta(days=2)}, "ends_at"),
        (SIGNED, NOW + timedelta(days=1), {"billing_day": 15}, "effective_at"),
        (SIGNED, None, {"tax": {"mode": TaxMode.ON_TOP, "rate": Decimal("0.06")}}, "effective_at"),
        (SIGNED, JUNE, {"tax": {"mode": TaxMode.ON_TOP}}, "tax_rate"),
        (SIGNED, JUNE, {"tax": {"rate": Decimal("0.06")}}, "tax_rate"),
        (SIGNED, JUNE, {"tax": {"mode": TaxMode.INCLUDED, "rate": Decimal("0.06")}}, "tax_mode"),
        (SIGNED, None, {"pinned_version": "unknown"}, "rate_card_version"),
        (SIGNED, None, {"pinned_version": "2026-01-01", "card_choice": CardChoice.NEWEST}, "rate_card_version"),
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


def test_nothing_is_refunded_by_an_amendment_that_could_be_withdrawn_still() -> None:
    to_come = replace(SIGNED, starts_at=NOW + timedelta(days=1))
    new = NewAmendment("con_1", {"overage": Overage.CONTRACT}, unused_grants=UnusedGrants.REFUND)
    with pytest.raises(errors.InvalidRequest, match="unused_grants: must be carry before the contract begins"):
        plan_amendment(to_come, new, NOW)
    assert plan_amendment(SIGNED, new, NOW).effective_at == NOW


def test_what_bears_on_a_planned_amendment_waits_for_it_or_for_its_withdrawal() -> None:
    planned = confirmed(amend(at=NOW + timedelta(days=9), committed_gpu_hours=600))
    with pytest.raises(errors.InvalidRequest, match="amd_1 that changes committed_gpu_hours; withdraw it first"):
        amend(planned, overage=Overage.CONTRACT)
    with pytest.raises(errors.InvalidRequest, match="ends_at: is not after amendment amd_1 takes effect"):
        amend(planned, ends_at=NOW + timedelta(days=9))


@pytest.mark.parametrize("values", [{"ends_at": JUNE}, {"overage": Overage.CONTRACT}])
def test_ends_of_grants_are_moved_in_their_order_by_whoever_moves_them(values: dict[str, Any]) -> None:
    def expire(terms: ContractTerms, days: int, **values: Any) -> PlannedAmendment:
        new = NewAmendment(terms.id, values, NOW + timedelta(days=days), UnusedGrants.EXPIRE)
        return plan_amendment(terms, new, NOW)

    planned = confirmed(expire(SIGNED, 9, purchase_order="PO-1"))
    assert planned.changes[-1].names == {"purchase_order", "unused_grants"}
    unused = UnusedGrants.CARRY if "ends_at" in values else UnusedGrants.EXPIRE
    with pytest.raises(errors.InvalidRequest, match="changes purchase_order, unused_grants; withdraw it first"):
        plan_amendment(planned, NewAmendment(planned.id, values, NOW + timedelta(days=3), unused), NOW)
    assert confirmed(expire(planned, 20, overage=Overage.CONTRACT)).changes[-1].names == {"overage", "unused_grants"}


def test_what_does_not_bear_on_a_planned_amendment_comes_before_it() -> None:
    later = NOW + timedelta(days=9)
    planned = confirmed(amend(at=later, committed_gpu_hours=600))
    terms = confirmed(amend(planned, monthly_budget_micros=100, contract_number="HT-2"))
    assert [(terms.at(at).committed_gpu_hours, terms.at(at).contract_number) for at in (START, NOW, later)] == [
        (500, "HT-1"),
        (500, "HT-2"),
        (600, "HT-2"),
    ]


@pytest.mark.parametrize(
    ("name", "sent", "value", "shown"),
    [
        ("arrears", {"grace_days": 3}, ArrearsTerms(grace_days=3), [("arrears.grace_days", 7, 3)]),
        (
            "tax",
            {"mode": TaxMode.ON_TOP, "rate": Decimal("0.06")},
            Tax(TaxMode.ON_TOP, Decimal("0.06")),
            [("tax_mode", "none", "on_top"), ("tax_rate", None, "0.06")],
        ),
        ("time_zone", "America/New_York", "America/New_York", [("time_zone", "UTC", "America/New_York")]),
        ("billing_day", 15, 15, [("billing_day", 1, 15)]),
        ("payment_days", 60, 60, [("payment_days", 30, 60)]),
        ("draft_working_days", 2, 2, [("draft_working_days", None, 2)]),
        ("finalizes", Finalizing.BY_HAND, Finalizing.BY_HAND, [("finalizes", None, "by_hand")]),
        ("credit_limit_micros", 7_000_000, 7_000_000, [("credit_limit", None, "7.00")]),
        ("quote_guarantee", QuoteGuarantee.CAP, QuoteGuarantee.CAP, [("quote_guarantee", "pause", "cap")]),
        ("contract_number", "HT-2", "HT-2", [("contract_number", "HT-1", "HT-2")]),
        ("auto_renew", True, True, [("auto_renew", False, True)]),
        ("card_choice", CardChoice.NEWEST, CardChoice.NEWEST, [("rate_card", "pinned", "newest")]),
    ],
)
def test_a_term_is_amended_from_a_date_on_and_kept_by_the_contracts_row(
    name: str, sent: Any, value: Any, shown: list[tuple[str, Any, Any]]
) -> None:
    planned = amend(at=JUNE, **{name: sent})
    assert [(each["field"], each["before"], each["after"]) for each in planned.describe_changes()] == shown
    terms = confirmed(planned)
    written = json.loads(json.dumps([change.to_json_dict() for change in terms.changes[1:]]))
    read = replace(terms, changes=read_changes(written, READERS, terms.changes[0]))
    assert getattr(read.at(JUNE - timedelta(microseconds=1)), name) == getattr(SIGNED, name)
    assert getattr(read.at(JUNE), name) == value


def test_a_month_bills_with_the_tax_with_which_it_ends() -> None:
    terms = confirmed(amend(at=JUNE, tax={"mode": TaxMode.ON_TOP, "rate": Decimal("0.06")}))
    assert [terms.of_month(month).tax.mode for month in ("2027-05", "2027-06")] == ["none", "on_top"]


def test_an_amendment_reaches_back_as_far_as_nothing_was_rated_within_the_month_under_way() -> None:
    def reach(days: float, unrated_since: datetime | None, **values: Any) -> PlannedAmendment:
        new = NewAmendment("con_1", values or {"overage": Overage.CONTRACT}, NOW - timedelta(days=days))
        return plan_amendment(SIGNED, new, NOW, unrated_since)

    assert reach(1, NOW - timedelta(days=1)).effective_at == NOW - timedelta(days=1)
    for days, since in ((1, None), (1, NOW - timedelta(days=0.9)), (1.6, START)):
        with pytest.raises(errors.InvalidRequest, match=r"stays as it was \(.*\); choose a moment from then on"):
            reach(days, since)
    with pytest.raises(errors.InvalidRequest, match="change from now on"):
        reach(1.5, START, monthly_budget_micros=5)


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
