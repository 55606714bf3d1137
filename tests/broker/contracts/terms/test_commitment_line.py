"""What a contract has committed to by a moment of its term, also where amendments have changed it. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.amendment.amendments import plan_amendment
from broker.contracts.amendment.new_amendment import NewAmendment
from broker.contracts.keeping.rows import CHANGING, READERS
from broker.contracts.terms.changes import TermsChange, read_changes
from broker.contracts.terms.commitment_line import count_committed, count_reached, find_commitment_start
from broker.contracts.terms.model import ContractTerms, Overage
from pricing.plans import PlanName
from tests.broker.contract_terms import make_terms

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2030, 11, 1, tzinfo=UTC)  # four years with a leap day
WHOLE = (END - START) // timedelta(seconds=1)
SIGNED = make_terms(
    plan=PlanName.LONG_TERM,
    committed_gpu_hours=8000,
    overage=Overage.CONTRACT,
    time_zone="UTC",
    starts_at=START,
    ends_at=END,
)
HALF = START + (END - START) / 2


def amend(terms: ContractTerms, moment: datetime, **values: object) -> ContractTerms:
    """Amend terms at a moment, and read them again from the JSON that their row would have."""
    planned = plan_amendment(terms, NewAmendment(terms.id, values, moment), moment)
    first = TermsChange(START, {name: getattr(terms.at(START), name) for name in CHANGING})
    written = [change.to_json_dict() for change in (*terms.changes[1:], planned.make_change("amd"))]
    ends_at = planned.amended.ends_at if planned.changes("ends_at") else terms.ends_at
    changes = read_changes(written, READERS, terms.changes[0] if terms.changes else first)
    return replace(terms, changes=changes, ends_at=ends_at)


def test_commitment_is_a_line_from_the_beginning_to_the_end() -> None:
    assert count_committed(SIGNED, START) == 8000 * 3600
    reached = [count_reached(SIGNED, moment) for moment in (START - timedelta(1), START, HALF, END, END + timedelta(1))]
    assert reached == [0, 0, 4000 * 3600, 8000 * 3600, 8000 * 3600]


@pytest.mark.parametrize(("hours", "whole"), [(10_000, 9000), (6000, 7000), (8001, Fraction(16001, 2))])
def test_other_hours_count_for_the_time_that_is_left(hours: int, whole: Fraction) -> None:
    amended = amend(SIGNED, HALF, committed_gpu_hours=hours)
    assert count_committed(amended, HALF - timedelta(microseconds=1)) == 8000 * 3600
    assert count_committed(amended, HALF) == count_reached(amended, END) == whole * 3600
    assert count_reached(amended, HALF) == 4000 * 3600
    three_quarters = HALF + (END - HALF) / 2
    assert count_reached(amended, three_quarters) == (4000 + (whole - 4000) / 2) * 3600


@pytest.mark.parametrize("end", [HALF + timedelta(days=3), END + timedelta(days=400)])
def test_another_end_leaves_the_whole_and_what_belonged_to_the_time_before(end: datetime) -> None:
    amended = amend(SIGNED, HALF, ends_at=end)
    quarter = START + (HALF - START) / 2
    assert [count_reached(amended, moment) for moment in (quarter, HALF)] == [2000 * 3600, 4000 * 3600]
    assert count_reached(amended, end) == count_committed(amended, end) == 8000 * 3600


def test_a_new_plan_begins_a_commitment_of_its_own_in_full() -> None:
    away = amend(SIGNED, HALF, plan=PlanName.ON_DEMAND)
    again = amend(away, HALF + timedelta(days=30), plan=PlanName.LONG_TERM, committed_gpu_hours=2000)
    assert count_reached(again, HALF - timedelta(microseconds=1)) == pytest.approx(4000 * 3600)
    assert count_reached(again, HALF + timedelta(days=30)) == 0
    assert count_reached(again, END) == count_committed(again, END) == 2000 * 3600
    moments = [HALF - timedelta(microseconds=1), HALF, HALF + timedelta(days=30)]
    assert [find_commitment_start(again, moment) for moment in moments] == [START, *moments[1:]]


def test_change_from_before_there_were_points_counts_its_hours_in_full() -> None:
    first = TermsChange(START, {name: getattr(SIGNED, name) for name in CHANGING})
    quarters = [START + (END - START) / 4 * count for count in range(1, 5)]
    old = replace(SIGNED, committed_gpu_hours=9000, changes=(first, TermsChange(HALF, {"committed_gpu_hours": 9000})))
    assert count_committed(old, END) == 9000 * 3600
    assert [count_reached(old, moment) / 3600 for moment in quarters] == [2000, 4000, 6500, 9000]
    plan = {"plan": PlanName.LONG_TERM, "committed_gpu_hours": 3000}
    other = replace(SIGNED, committed_gpu_hours=3000, changes=(first, TermsChange(HALF, plan)))
    assert [count_reached(other, moment) / 3600 for moment in quarters] == [2000, 0, 1500, 3000]
    budget = TermsChange(HALF, {"monthly_budget_micros": 1})
    assert count_reached(replace(SIGNED, changes=(first, budget)), END) == 8000 * 3600


AMENDED = st.lists(
    st.tuples(st.integers(1, WHOLE - 86400), st.integers(2000, 20_000), st.integers(-300, 800)), max_size=4
)


@given(AMENDED)
def test_what_is_amended_never_changes_what_belonged_to_the_time_before(steps: list[tuple[int, int, int]]) -> None:
    terms, checked = SIGNED, [START, *(START + (END - START) / 7 * count for count in range(1, 7))]
    for seconds, hours, days in sorted(steps):
        moment = START + timedelta(seconds=seconds)
        if terms.ends_at is None or moment >= terms.ends_at or terms.at(moment).committed_gpu_hours == hours:
            continue
        end = max(terms.ends_at + timedelta(days=days), moment + timedelta(days=1))
        before = [count_reached(terms, each) for each in checked if each <= moment]
        terms = amend(terms, moment, committed_gpu_hours=hours, ends_at=end)
        assert [count_reached(terms, each) for each in checked if each <= moment] == before
    ends_at = terms.ends_at or END
    assert count_reached(terms, ends_at) == count_committed(terms, ends_at)
