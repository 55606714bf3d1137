"""Billing months follow the contract's time zone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.clock import billing_month, month_end, next_month, system_clock

ZONES = st.sampled_from(["Asia/Shanghai", "UTC", "America/New_York", "Pacific/Apia", "Europe/London"])
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


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


@pytest.mark.parametrize(("month", "after"), [("2026-11", "2026-12"), ("2026-12", "2027-01"), ("2028-02", "2028-03")])
def test_next_month(month: str, after: str) -> None:
    assert next_month(month) == after


@given(MOMENTS, ZONES)
def test_month_ends_with_the_first_moment_of_the_next(moment: datetime, zone: str) -> None:
    month = billing_month(moment, zone)
    end = month_end(month, zone)
    assert moment < end
    assert billing_month(end, zone) == next_month(month)
    assert billing_month(end - timedelta(microseconds=1), zone) == month


def test_system_clock_is_aware() -> None:
    assert system_clock().utcoffset() == timedelta(0)
