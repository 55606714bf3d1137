"""When something is due: as many days after its issue as its contract gave then, and never on a day off. Pure."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from broker.billing.due_days import add_working_days, compute_due_day, find_working_day, is_working_day
from broker.contracts.terms.changes import TermsChange
from tests.broker.contract_terms import make_terms

ISSUED = datetime(2026, 12, 1, 17, tzinfo=UTC)  # one in the morning of the second in Shanghai


@pytest.mark.parametrize(
    ("terms", "expires_at", "due"),
    [
        ({"payment_days": 30}, None, date(2027, 1, 1)),
        ({"payment_days": 30, "time_zone": "UTC"}, None, date(2026, 12, 31)),
        ({"payment_days": 0}, None, date(2026, 12, 2)),
        ({"payment_days": 365}, None, date(2027, 12, 2)),
        ({"payment_days": 30}, datetime(2026, 12, 8, 17, tzinfo=UTC), date(2026, 12, 9)),
        ({"payment_days": 3}, datetime(2026, 12, 8, 17, tzinfo=UTC), date(2026, 12, 5)),
    ],
)
def test_due_day_is_counted_in_the_contracts_time_zone_and_no_order_outlives_itself(
    terms: dict[str, Any], expires_at: datetime | None, due: date
) -> None:
    assert compute_due_day(make_terms(**terms), ISSUED, expires_at, "none") == due


@pytest.mark.parametrize(
    ("issued_at", "due"),
    [("2026-12-01T16:59:59", date(2027, 1, 1)), ("2026-12-01T17:00:00", date(2027, 1, 31))],
)
def test_amended_days_count_for_invoices_from_their_moment_on(issued_at: str, due: date) -> None:
    signed = TermsChange(datetime(2026, 11, 1, tzinfo=UTC), {"payment_days": 30})
    terms = make_terms(changes=(signed, TermsChange(ISSUED, {"payment_days": 60})))
    moment = datetime.fromisoformat(issued_at).replace(tzinfo=UTC)
    assert compute_due_day(terms, moment, None, "none") == due


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-10-10", True),  # a Saturday that is worked for the days off around the first (调休)
        ("2026-09-20", True),  # a Sunday likewise
        ("2026-10-07", False),  # a Wednesday of the National Day's week
        ("2026-11-28", False),  # a Saturday
        ("2026-11-30", True),
    ],
)
def test_working_days_are_chinas_with_those_that_are_worked_for_others(day: str, works: bool) -> None:
    assert is_working_day(date.fromisoformat(day), "CN") is works
    assert is_working_day(date.fromisoformat(day), "none")


@pytest.mark.parametrize(
    ("payment_days", "due"),
    [(9, date(2026, 10, 8)), (8, date(2026, 10, 8)), (11, date(2026, 10, 10)), (0, date(2026, 9, 29))],
)
def test_what_falls_due_on_a_day_off_is_due_on_the_next_working_day(payment_days: int, due: date) -> None:
    issued = datetime(2026, 9, 29, 2, tzinfo=UTC)
    assert compute_due_day(make_terms(payment_days=payment_days), issued, None, "CN") == due


def test_an_order_is_due_before_it_expires_also_where_that_is_a_day_off() -> None:
    issued, expires_at = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 28, 4, tzinfo=UTC)
    assert compute_due_day(make_terms(payment_days=8), issued, expires_at, "CN") == date(2026, 11, 28)


def test_working_days_are_counted_over_days_off() -> None:
    assert add_working_days(date(2026, 9, 30), 2, "CN") == date(2026, 10, 9)
    assert add_working_days(date(2026, 9, 30), 0, "CN") == date(2026, 9, 30)
    assert find_working_day(date(2026, 10, 1), "CN") == date(2026, 10, 8)
