"""A range of days on which what is left is used up, from what whole weeks used."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from broker.reports.commitments.burn_down import BurnDown, burn_down, find_quantile, list_weeks

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_weeks_are_whole_and_those_without_usage_count() -> None:
    assert list_weeks({1: 7, 3: 5, 4: 9}, NOW - timedelta(days=27), NOW) == [7, 0, 5]
    assert list_weeks({1: 7}, NOW - timedelta(days=6), NOW) == []
    assert len(list_weeks({}, NOW - timedelta(days=1000), NOW)) == 12
    assert list_weeks({1: -3}, NOW - timedelta(days=8), NOW) == [0], "corrections alone are no pace"


def test_range_goes_from_the_busiest_tenth_to_the_quietest() -> None:
    weeks = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]
    found = burn_down(600, weeks, NOW)
    assert found.paces == (20, 60, 100)
    days = [(end - NOW).days for end in (found.earliest, found.expected, found.latest) if end]
    assert days == [42, 70, 210]


def test_nobody_can_say_by_one_week_and_nothing_is_used_up_without_use() -> None:
    assert burn_down(5, [3], NOW) == BurnDown(1, None, None, None, None)
    idle = burn_down(5, [0, 0, 0, 0, 0, 0, 0, 0, 0, 700], NOW)
    assert (idle.earliest is not None, idle.expected, idle.latest) == (True, None, None)
    assert burn_down(0, [0, 0], NOW).latest == NOW, "it is used up"


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=12), st.integers(1, 10**9))
def test_range_is_in_order(weeks: list[int], left: int) -> None:
    found = burn_down(left, weeks, NOW)
    ends = [end for end in (found.earliest, found.expected, found.latest) if end is not None]
    assert ends == sorted(ends)
    assert min(weeks) <= find_quantile(weeks, Fraction(1, 3)) <= max(weeks)
