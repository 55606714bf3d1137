"""When an invoice is due: as many days after its issue as its contract gave then. Pure."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from broker.billing.model import DraftLine, LineKind, compute_due_day, share_credit, sum_lines
from broker.contracts.terms.changes import TermsChange
from pricing.money import Money
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
    assert compute_due_day(make_terms(**terms), ISSUED, expires_at) == due


@pytest.mark.parametrize(
    ("issued_at", "due"),
    [("2026-12-01T16:59:59", date(2027, 1, 1)), ("2026-12-01T17:00:00", date(2027, 1, 31))],
)
def test_amended_days_count_for_invoices_from_their_moment_on(issued_at: str, due: date) -> None:
    signed = TermsChange(datetime(2026, 11, 1, tzinfo=UTC), {"payment_days": 30})
    terms = make_terms(changes=(signed, TermsChange(ISSUED, {"payment_days": 60})))
    moment = datetime.fromisoformat(issued_at).replace(tzinfo=UTC)
    assert compute_due_day(terms, moment, None) == due


def test_lines_sum_up_and_none_are_nothing() -> None:
    lines = [DraftLine(LineKind.USAGE, "usage", Money(20_000)), DraftLine(LineKind.ADVANCE, "paid", Money(-30_000))]
    assert (sum_lines(lines), sum_lines([])) == (Money(-10_000), Money.zero())


@pytest.mark.parametrize(
    ("due", "there", "shares"),
    [
        (100, {"con_2": 100}, {"con_2": 100}),
        (100, {"con_1": 30, "con_2": 30, "con_3": 50}, {"con_2": 30, "con_1": 30, "con_3": 40}),
        (20, {"con_1": 30, "con_3": 50}, {"con_1": 20}),
        (100, {"con_1": 30}, {"con_1": 30}),
        (100, {"con_1": 0}, {}),
        (0, {"con_2": 30}, {}),
    ],
)
def test_credit_of_the_invoices_own_contract_pays_before_that_of_others(
    due: int, there: dict[str, int], shares: dict[str, int]
) -> None:
    found = share_credit(Money(due), {name: Money(micros) for name, micros in there.items()}, "con_2")
    assert list(found.items()) == [(name, Money(micros)) for name, micros in shares.items()]
