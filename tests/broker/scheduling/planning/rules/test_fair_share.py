from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from broker.scheduling.planning.rules.fair_share import DecayedUsage, compute_weight

BEGAN = datetime(2026, 11, 24, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_usage_counts_half_after_each_half_life():
    usage = DecayedUsage(BEGAN)
    usage.add(8, BEGAN)
    assert [usage.read(BEGAN + weeks * WEEK) for weeks in range(4)] == [8_000_000, 4_000_000, 2_000_000, 1_000_000]


def test_tiny_usage_accumulates():
    """kueue#13621: usage below the smallest unit was rounded away at every step, and a tenant ran for nothing."""
    usage = DecayedUsage(BEGAN)
    for second in range(10_000):
        usage.add(Fraction(1, 10**7), BEGAN + timedelta(seconds=second))
    assert 990 <= usage.read(BEGAN + timedelta(seconds=10_000)) <= 1_000


def test_half_life_is_as_ops_sets_it():
    usage = DecayedUsage(BEGAN, half_life=timedelta(days=1))
    usage.add(4, BEGAN)
    assert usage.read(BEGAN + timedelta(days=2)) == 1_000_000


@given(st.integers(-10_000, 10_000), st.integers(0, 10_000))
def test_older_usage_never_counts_more(hours, more):
    older, newer = (compute_weight(timedelta(hours=age), WEEK) for age in (hours + more, hours))
    assert 0 < older <= newer
