"""The years of a commitment with an end: where they are cut, what each commits to, and what they owe together. Pure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.terms.agreed import TrueUpRule
from broker.contracts.terms.changes import TermsChange
from broker.contracts.terms.model import CardChoice, ContractTerms, Overage
from broker.ledger.grants.commit_periods import (
    Judged,
    LostHours,
    find_earlier,
    find_last_moment,
    group_by_commitment,
    judge_periods,
    list_periods,
)
from pricing.commitment import compute_owed
from pricing.money import Money
from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards
from tests.broker.contract_terms import make_terms
from tests.broker.contracts.terms.test_commitment_line import amend

HOUR = 3600
AFTER = datetime(2032, 1, 1, tzinfo=UTC)


def sign(starts: str = "2026-11-01", ends: str = "2029-05-01", **fields: Any) -> ContractTerms:
    """Sign 5,000 hours for two years and a half in UTC, trued up yearly, unless told otherwise."""
    return make_terms(
        **{
            "plan": PlanName.LONG_TERM,
            "committed_gpu_hours": 5000,
            "overage": Overage.CONTRACT,
            "time_zone": "UTC",
            "starts_at": moment(starts),
            "ends_at": moment(ends),
            "true_up": TrueUpRule.YEARLY,
            **fields,
        }
    )


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def judge(terms: ContractTerms, used: dict[str, int] | None = None, now: datetime = AFTER) -> list[Judged]:
    """Judge all periods that have begun; `used` is in GPU-hours by month, all of it billed."""
    months = {(month, True): hours * HOUR for month, hours in (used or {}).items()}
    return judge_periods(terms, list_periods(terms, now), months, now)


def owed(judged: list[Judged]) -> list[str]:
    """List what is owed in all as each period ends."""
    amounts = []
    for count in range(1, len(judged) + 1):
        together = (compute_owed(own) for own in group_by_commitment(judged[:count]))
        amounts.append(sum(together, Money.zero()).format_amount())
    return amounts


@pytest.mark.parametrize(
    ("terms", "months"),
    [
        (sign(), [("2026-11", "2027-10"), ("2027-11", "2028-10"), ("2028-11", "2029-04")]),
        (sign(ends="2028-11-01"), [("2026-11", "2027-10"), ("2027-11", "2028-10")]),
        (sign(ends="2027-11-01"), [("2026-11", "2027-10")]),
        (sign(ends="2027-05-20"), [("2026-11", "2027-05")]),
        (sign(true_up=TrueUpRule.AT_END), [("2026-11", "2029-04")]),
        # Years are of whole billing months: the first is longer by the days before them.
        (sign("2026-11-10", "2028-11-10"), [("2026-11", "2027-11"), ("2027-12", "2028-11")]),
        (sign("2026-11-20", billing_day=15), [("2026-11", "2027-11"), ("2027-12", "2028-11"), ("2028-12", "2029-04")]),
        (sign("2028-02-29", "2030-02-28"), [("2028-02", "2029-02"), ("2029-03", "2030-02")]),
        (sign("2026-10-31T16:00", "2028-10-31T16:00", time_zone="Asia/Shanghai"), [("2026-11", "2027-10"),
                                                                                   ("2027-11", "2028-10")]),
        (sign("2026-10-31T13:00", "2028-10-31T13:00", time_zone="Australia/Lord_Howe"), [("2026-11", "2027-10"),
                                                                                         ("2027-11", "2028-10")]),
    ],
)  # fmt: skip
def test_years_of_a_term_are_cut_where_billing_months_begin(
    terms: ContractTerms, months: list[tuple[str, str]]
) -> None:
    periods = list_periods(terms, AFTER)
    assert [(each.first_month, each.last_month) for each in periods] == months
    assert (periods[0].starts_at, periods[-1].ends_at) == (terms.starts_at, terms.ends_at)
    assert [each.ends_at for each in periods[:-1]] == [each.starts_at for each in periods[1:]]


def test_years_that_have_not_begun_are_not_listed() -> None:
    begun = ("2026-11-01", "2027-10-31", "2027-11-01", "2028-11-01")
    assert [len(list_periods(sign(), moment(now))) for now in begun] == [1, 1, 2, 3]


def test_a_short_last_year_has_its_share_and_all_of_them_the_whole() -> None:
    committed = [each.attained.committed for each in judge(sign())]
    # 365, 366 and 181 of 912 days, rounded so that they add up.
    after_a_year, after_two = (round(5000 * HOUR * days / 912) for days in (365, 731))
    assert committed == [after_a_year, after_two - after_a_year, 5000 * HOUR - after_two]
    assert [each.attained.committed for each in judge(sign(true_up=TrueUpRule.AT_END))] == [5000 * HOUR]


def test_usage_counts_for_the_year_that_it_is_of() -> None:
    used = {"2026-10": 1, "2026-11": 2, "2027-10": 4, "2027-11": 8, "2028-10": 16, "2028-11": 32, "2029-05": 64}
    assert [each.attained.used // HOUR for each in judge(sign(), used)] == [7, 24, 96]
    assert [each.attained.used // HOUR for each in judge(sign(), used, moment("2028-01-01"))] == [7, 24]
    gifts = {("2026-12", False): 50 * HOUR, ("2026-12", True): HOUR}
    assert judge_periods(sign(), list_periods(sign(), AFTER), gifts, AFTER)[0].attained.used == HOUR


@pytest.mark.parametrize(
    ("terms", "lost", "came_back", "used"),
    [
        # Of a term: what came back before its end may be used until then, whichever year it is of.
        (sign(), "2027-01", "2029-04-30", [0, 0, 0]),
        (sign(), "2027-01", "2029-05-01", [10, 0, 0]),
        (sign(), "2029-04", "2029-06-01", [0, 0, 10]),
        (sign(true_up=TrueUpRule.AT_END), "2027-01", "2029-05-01", [10]),
    ],
)
def test_hours_that_come_back_as_lost_when_the_commitment_is_over_count_as_used(
    terms: ContractTerms, lost: str, came_back: str, used: list[int]
) -> None:
    losses = [LostHours(lost, 10 * HOUR, moment(came_back))]
    judged = judge_periods(terms, list_periods(terms, AFTER), {}, AFTER, losses)
    assert [each.attained.used // HOUR for each in judged] == used


def test_year_that_commits_by_itself_has_what_came_back_after_it() -> None:
    terms = replace(sign(), ends_at=None)
    periods = list_periods(terms, moment("2028-12-01"))
    losses = [LostHours("2027-10", HOUR, moment("2027-11-01")), LostHours("2027-12", HOUR, moment("2028-10-31"))]
    losses.append(LostHours("2027-10", 2 * HOUR, moment("2027-12-01")))
    used = {("2027-10", True): 40 * HOUR}
    judged = judge_periods(terms, periods, used, moment("2028-12-01"), losses)
    assert [each.attained.used // HOUR for each in judged] == [43, 0, 0]


def test_a_rule_that_is_amended_counts_for_years_that_end_from_then_on() -> None:
    late = amend(sign(true_up=TrueUpRule.AT_END), moment("2028-01-01"), true_up=TrueUpRule.YEARLY)
    assert [each.period.last_month for each in judge(late)] == ["2028-10", "2029-04"]
    early = amend(sign(), moment("2028-01-01"), true_up=TrueUpRule.AT_END)
    assert [each.period.last_month for each in judge(early)] == ["2027-10", "2029-04"]
    planned = amend(sign(true_up=TrueUpRule.AT_END), moment("2027-11-01"), true_up=TrueUpRule.YEARLY)
    assert [each.period.last_month for each in judge(planned)] == ["2028-10", "2029-04"]
    assert [each.last_month for each in list_periods(planned, moment("2027-01-01"))] == ["2028-10"]


@pytest.mark.parametrize("ends", ["2028-04-11", "2028-11-01", "2031-01-01"])
def test_year_that_is_over_stays_as_it_was_when_the_end_or_the_hours_are_amended(ends: str) -> None:
    terms, used = sign(), {"2027-01": 900, "2027-12": 300}
    first = judge(terms, used)[0]
    amended = amend(terms, moment("2028-03-01"), ends_at=moment(ends), committed_gpu_hours=6000)
    judged = judge(amended, used)
    assert judged[0] == first
    assert sum(each.attained.committed for each in judged) > 5000 * HOUR
    whole = compute_owed([each.attained for each in judge(with_rule(amended, TrueUpRule.AT_END), used)])
    assert owed(judged)[-1] == whole.format_amount()


def with_rule(terms: ContractTerms, rule: TrueUpRule) -> ContractTerms:
    """Make the same terms with one rule from their signing on."""
    changes = tuple(
        replace(each, values={**each.values, **({"true_up": rule} if "true_up" in each.values else {})})
        for each in terms.changes
    )
    return replace(terms, true_up=rule, changes=changes)


def test_plan_that_trues_nothing_up_ends_the_years_and_a_new_commitment_begins_at_nothing() -> None:
    away = amend(sign(), moment("2028-01-01"), plan=PlanName.ON_DEMAND)
    judged = judge(away, {"2027-01": 500})
    assert [each.period.last_month for each in judged] == ["2027-10", "2029-04"]
    values = {"plan": PlanName.LONG_TERM, "committed_gpu_hours": 2000, "true_up": TrueUpRule.YEARLY}
    again = judge(amend(away, moment("2028-05-01"), **values), {"2027-01": 500, "2028-06": 30})
    assert [each.period.last_month for each in again] == ["2027-10", "2028-10", "2029-04"]
    assert again[0] == judged[0]
    assert sum(each.attained.committed for each in again[1:]) == 2000 * HOUR
    assert (find_earlier(again, 1), find_earlier(again, 2)) == ([], [again[1].attained])
    assert [len(own) for own in group_by_commitment(again)] == [1, 2]


def test_contract_without_an_end_commits_to_all_of_its_hours_each_year() -> None:
    endless = sign(ends_at=None)
    judged = judge(endless, {"2027-01": 7000, "2028-01": 4000}, moment("2029-01-01"))
    assert [each.attained.committed // HOUR for each in judged] == [5000, 5000, 5000]
    assert [each.attained.used // HOUR for each in judged] == [7000, 4000, 0]
    assert owed(judged) == ["0.00", "4000.00", "24000.00"]
    assert find_earlier(judged, 2) == []
    border = moment("2027-11-01")
    assert [len(list_periods(endless, each)) for each in (border - timedelta(microseconds=1), border)] == [1, 2]


def test_contract_without_an_end_that_is_ended_goes_on_by_the_year_and_its_last_one_is_short() -> None:
    used = {"2027-01": 7000, "2028-01": 4000, "2028-12": 100}
    before = judge(sign(ends_at=None), used, moment("2028-12-31"))
    ended = amend(sign(ends_at=None), moment("2028-12-31"), ends_at=moment("2029-01-13"))
    judged = judge(ended, used)
    assert judged[:2] == before[:2]
    # 73 days of the year's 365.
    assert [(each.attained.committed // HOUR, each.attained.used // HOUR) for each in judged[2:]] == [(1000, 100)]
    assert owed(judged) == ["0.00", "4000.00", "7600.00"]
    whole = amend(ended, moment("2029-01-01"), ends_at=moment("2029-11-01"), committed_gpu_hours=6000)
    assert [each.attained.committed // HOUR for each in judge(whole, used)] == [5000, 5000, 6000]


def test_hours_are_priced_by_the_terms_with_which_their_year_ends() -> None:
    first = TermsChange(moment("2026-11-01"), {"plan": PlanName.LONG_TERM, "committed_gpu_hours": 5000})
    budget = TermsChange(moment("2027-01-01"), {"monthly_budget_micros": 10**9})
    assert [str(each.attained.unit_price) for each in judge(sign(changes=(first, budget)))] == ["4.0"] * 3
    card = load_rate_cards()["2026-01-01"]
    cheap = card.plans[PlanName.LONG_TERM].model_copy(update={"per_gpu_hour": Decimal("3.0")})
    newer = card.model_copy(
        update={
            "version": "newer",
            "effective_from": date(2027, 11, 1),
            "plans": {**card.plans, PlanName.LONG_TERM: cheap},
        }
    )
    follows = sign(cards=(card, newer), card_choice=CardChoice.NEWEST)
    assert [str(each.attained.unit_price) for each in judge(follows)] == ["4.0", "3.0", "3.0"]


def test_a_period_is_judged_within_itself() -> None:
    (period,) = list_periods(sign(ends="2027-11-01"), AFTER)
    last = period.ends_at - timedelta(microseconds=1)
    moments = [moment("2026-01-01"), moment("2027-01-01"), last, period.ends_at, AFTER]
    assert [find_last_moment(period, now) for now in moments] == [period.starts_at, moments[1], last, last, last]


MONTHS = [f"{year}-{month:02}" for year in (2027, 2028) for month in range(1, 13)]


@given(
    st.dictionaries(st.sampled_from(MONTHS), st.integers(0, 900)),
    st.lists(st.tuples(st.sampled_from(MONTHS), st.integers(0, 900), st.booleans()), max_size=3),
)
def test_lost_hours_are_owed_by_nobody_whichever_year_they_are_of(
    used: dict[str, int], lost: list[tuple[str, int, bool]]
) -> None:
    """What came back before the end counts as unused; what came back after it as used. Source: decision 0057."""
    months = {(month, True): hours * HOUR for month, hours in used.items()}
    end = sign().ends_at or AFTER
    losses = [
        LostHours(month, hours * HOUR, end + timedelta(days=1) if is_late else end - timedelta(days=1))
        for month, hours, is_late in lost
    ]
    sums = []
    for rule in TrueUpRule:
        terms = with_rule(sign(), rule)
        sums.append(owed(judge_periods(terms, list_periods(terms, AFTER), months, AFTER, losses))[-1])
    late = sum(hours for _month, hours, is_late in lost if is_late)
    unused = max(0, 5000 - sum(used.values()) - late)
    assert sums == [Money.from_decimal(str(4 * unused)).format_amount()] * 2


@given(st.dictionaries(st.sampled_from(MONTHS), st.integers(0, 900)), st.integers(0, 600), st.integers(2000, 9000))
def test_years_owe_in_the_end_what_the_whole_term_owes(used: dict[str, int], day: int, hours: int) -> None:
    """However usage lies, and whatever hours are agreed in mid-year: nothing is charged twice, nothing forgotten."""
    begun = sign(committed_gpu_hours=5001)
    amended_at = moment("2027-01-01") + timedelta(days=day)
    terms = amend(begun, amended_at, committed_gpu_hours=hours)
    yearly, at_end = judge(terms, used), judge(with_rule(terms, TrueUpRule.AT_END), used)
    assert owed(yearly)[-1] == owed(at_end)[-1]
    # What is owed as a year ends is what was owed then, whatever comes after it.
    for count in (1, 2):
        then = {month: sold for month, sold in used.items() if month <= yearly[count - 1].period.last_month}
        assert owed(judge(terms, then, yearly[count - 1].period.ends_at)[:count])[-1] == owed(yearly)[count - 1]
