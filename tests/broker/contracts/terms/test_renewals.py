"""The end of a contract as pure rules: when it is near, and how long what follows it lasts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.terms.renewals import compute_next_end, find_warning, plan_successor
from pricing.grants import compute_expiry
from tests.broker.contracts.amendment.test_amendments import ON_DEMAND, SIGNED

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC)
LEAP_DAY = datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=30, seconds=1), None),
        (timedelta(days=30), 30),
        (timedelta(days=7, seconds=1), 30),
        (timedelta(days=7), 7),
        (timedelta(days=1), 1),
        (timedelta(seconds=1), 1),
    ],
)
def test_end_is_told_thirty_seven_and_one_day_before(left: timedelta, days: int | None) -> None:
    assert find_warning(END, END - left) == days


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "zone", "next_end"),
    [
        (START, END, "UTC", datetime(2028, 11, 1, tzinfo=UTC)),
        (
            datetime(2028, 2, 29, tzinfo=UTC),
            datetime(2029, 2, 28, tzinfo=UTC),
            "UTC",
            datetime(2030, 2, 28, tzinfo=UTC),
        ),
        (
            datetime(2026, 11, 1, tzinfo=UTC),
            datetime(2026, 11, 11, tzinfo=UTC),
            "UTC",
            datetime(2026, 11, 21, tzinfo=UTC),
        ),
        (
            datetime(2026, 1, 31, 5, tzinfo=UTC),
            datetime(2026, 7, 31, 4, tzinfo=UTC),
            "America/New_York",
            datetime(2027, 1, 31, 5, tzinfo=UTC),
        ),
    ],
)
def test_next_term_is_as_many_calendar_months_or_as_much_time(
    starts_at: datetime, ends_at: datetime, zone: str, next_end: datetime
) -> None:
    assert compute_next_end(starts_at, ends_at, zone) == next_end


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 60),
    st.sampled_from(["Asia/Shanghai", "America/New_York", "UTC"]),
)
def test_next_term_begins_where_the_last_ended_and_ends_after_it(begin: datetime, months: int, zone: str) -> None:
    end = compute_expiry(begin, zone, months)
    assert compute_next_end(begin, end, zone) == compute_expiry(end, zone, months) > end


def test_successor_has_the_terms_that_its_contract_ends_with() -> None:
    terms = replace(SIGNED, auto_renew=True, purchase_order="PO-1", billing_day=5)
    new = plan_successor(terms)
    assert (new.starts_at, new.ends_at) == (END, datetime(2028, 11, 1, tzinfo=UTC))
    assert (new.plan, new.committed_gpu_hours, new.overage) == (terms.plan, 500, terms.overage)
    assert (new.contract_number, new.purchase_order, new.billing_day) == ("HT-1", "PO-1", 5)
    assert (new.auto_renew, new.renewed_from_id) == (True, "con_1")
    assert plan_successor(replace(ON_DEMAND, ends_at=END)).committed_gpu_hours == 0
