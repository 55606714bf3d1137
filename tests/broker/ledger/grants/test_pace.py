"""How far prepaid units reach at the pace of late."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.ledger.grants.pace import Pace, compute_percent, make_pace

NOW = datetime(2026, 11, 10, 4, tzinfo=UTC)
DAY = 86_400


@pytest.mark.parametrize(
    ("used", "begun_days_ago", "left", "days"),
    [
        (3000, 90, 1000, "10.0"),  # 100 a day over 30 days
        (1000, 10, 1000, "10.0"),  # of what began 10 days ago, 100 a day as well
        (100, 0, 2400, "1.0"),  # of what has just begun the pace is that of an hour
        (7, 90, 0, "0.0"),
        (3000, 90, 1999, "19.9"),
    ],
)
def test_days_left_follow_the_last_thirty_days(used: int, begun_days_ago: int, left: int, days: str) -> None:
    pace = make_pace(used, NOW - timedelta(days=begun_days_ago), NOW)
    assert pace.compute_days_left(left) == Decimal(days)


@pytest.mark.parametrize("used", [0, -5])
def test_what_is_not_used_lasts_for_ever(used: int) -> None:
    assert make_pace(used, NOW - timedelta(days=90), NOW).compute_days_left(1000) is None


@given(st.integers(1, 10**9), st.integers(1, 30 * DAY), st.integers(0, 10**12))
def test_what_the_pace_uses_in_the_days_left_is_not_more_than_is_left(used: int, window: int, left: int) -> None:
    pace = Pace(used, window)
    days = pace.compute_days_left(left)
    assert days is not None
    assert pace.project(int(days * DAY)) <= left
    assert pace.project(int((days + Decimal("0.1")) * DAY) + 1) >= left - used // window - 1


@pytest.mark.parametrize(("part", "whole", "percent"), [(1, 3, "33.3"), (2, 2, "100.0"), (0, 5, "0.0"), (1, 0, None)])
def test_shares_are_rounded_down_to_a_tenth(part: int, whole: int, percent: str | None) -> None:
    assert compute_percent(part, whole) == (None if percent is None else Decimal(percent))
