"""Billing months follow the contract's time zone and begin on its billing day."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.clock import (
    billing_month,
    check_time_zone,
    compute_billing_month,
    month_end,
    month_start,
    next_month,
    previous_month,
    system_clock,
)

# Beside zones with and without daylight saving, those where clocks are, or were, put forward or back at midnight.
ZONES = st.sampled_from(
    [
        "Asia/Shanghai",
        "UTC",
        "America/New_York",
        "Europe/London",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "America/St_Johns",
        "America/Havana",
        "Asia/Beirut",
    ]
)
BILLING_DAYS = st.integers(1, 28)
MOMENTS = st.datetimes(datetime(2004, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("moment", "zone", "month"),
    [
        (datetime(2026, 11, 30, 15, 59, 59, 999_999, tzinfo=UTC), "Asia/Shanghai", "2026-11"),
        (datetime(2026, 11, 30, 16, 0, tzinfo=UTC), "Asia/Shanghai", "2026-12"),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), "Asia/Shanghai", "2027-01"),
        (datetime(2026, 12, 1, 4, 59, tzinfo=UTC), "America/New_York", "2026-11"),
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), "UTC", "2026-11"),
    ],
)
def test_month_of_a_moment(moment: datetime, zone: str, month: str) -> None:
    assert billing_month(moment, zone) == month


@pytest.mark.parametrize(
    ("moment", "billing_day", "month"),
    [
        (datetime(2026, 11, 14, 15, 59, 59, tzinfo=UTC), 15, "2026-10"),
        (datetime(2026, 11, 14, 16, 0, tzinfo=UTC), 15, "2026-11"),
        (datetime(2026, 12, 14, 15, 59, 59, tzinfo=UTC), 15, "2026-11"),
        (datetime(2027, 1, 1, tzinfo=UTC), 2, "2026-12"),
        (datetime(2028, 2, 29, tzinfo=UTC), 28, "2028-02"),
        (datetime(2028, 3, 27, tzinfo=UTC), 28, "2028-02"),
    ],
)
def test_month_is_named_after_the_one_in_which_it_begins(moment: datetime, billing_day: int, month: str) -> None:
    assert billing_month(moment, "Asia/Shanghai", billing_day) == month


@pytest.mark.parametrize(("month", "after"), [("2026-11", "2026-12"), ("2026-12", "2027-01"), ("2028-02", "2028-03")])
def test_next_month(month: str, after: str) -> None:
    assert next_month(month) == after
    assert previous_month(after) == month


@given(MOMENTS, ZONES, BILLING_DAYS)
def test_months_follow_each_other_without_gap_or_overlap(moment: datetime, zone: str, day: int) -> None:
    month = compute_billing_month(moment, zone, day)
    start, end = month_start(month, zone, day), month_end(month, zone, day)
    assert start <= moment < end
    assert compute_billing_month(start, zone, day) == month
    assert compute_billing_month(end, zone, day) == next_month(month)
    assert compute_billing_month(end - timedelta(microseconds=1), zone, day) == month


@given(MOMENTS, ZONES, BILLING_DAYS)
def test_month_is_the_same_whatever_was_asked_before(moment: datetime, zone: str, day: int) -> None:
    end = month_end(billing_month(moment, zone, day), zone, day)
    for asked in (end - timedelta(microseconds=1), end, moment):
        assert billing_month(asked, zone, day) == compute_billing_month(asked, zone, day)


@pytest.mark.parametrize(
    ("month", "zone", "day", "starts"),
    [
        ("2018-11", "America/Sao_Paulo", 4, datetime(2018, 11, 4, 3, tzinfo=UTC)),  # midnight is skipped
        ("2010-11", "America/St_Johns", 7, datetime(2010, 11, 7, 2, 30, tzinfo=UTC)),  # midnight comes twice
        ("2026-11", "Asia/Shanghai", 1, datetime(2026, 10, 31, 16, tzinfo=UTC)),
    ],
)
def test_month_starts_when_clocks_first_show_its_billing_day(month: str, zone: str, day: int, starts: datetime) -> None:
    assert month_start(month, zone, day) == starts


@pytest.mark.parametrize("name", ["", "Asia/Nowhere", "../../etc/passwd", "UTC\0", "asia/shanghai", "+08:00"])
def test_time_zone_is_one_of_the_iana_database(name: str) -> None:
    assert check_time_zone("Asia/Shanghai") == "Asia/Shanghai"
    with pytest.raises(ValueError, match="no time zone"):
        check_time_zone(name)


def test_system_clock_is_aware() -> None:
    assert system_clock().utcoffset() == timedelta(0)
