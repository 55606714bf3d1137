"""What is deferred, spread over the months in which it is expected to be earned: both columns add up to it."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broker.reports.revenue.waterfall import DeferredGrant, ExpectedMonth, spread_deferred
from pricing.money import Money

FIRST = date(2026, 12, 1)


def yuan(amount: str) -> Money:
    return Money.from_decimal(amount)


def test_a_grant_is_earned_evenly_by_the_days_of_its_months() -> None:
    spread = spread_deferred([DeferredGrant(yuan("90.00"), date(2027, 2, 28))], FIRST)
    assert spread == [
        ExpectedMonth("2026-12", yuan("31.00"), yuan("0")),
        ExpectedMonth("2027-01", yuan("31.00"), yuan("0")),
        ExpectedMonth("2027-02", yuan("28.00"), yuan("90.00")),
    ]


def test_what_is_over_is_earned_at_once_and_what_has_no_end_stands_apart() -> None:
    spread = spread_deferred([DeferredGrant(yuan("5.00"), date(2026, 11, 3)), DeferredGrant(yuan("7.00"), None)], FIRST)
    assert spread == [
        ExpectedMonth("2026-12", yuan("5.00"), yuan("5.00")),
        ExpectedMonth(None, yuan("7.00"), yuan("7.00")),
    ]


GRANTS = st.builds(
    lambda fen, days: DeferredGrant(Money(fen * 10_000), None if days is None else FIRST + timedelta(days)),
    st.integers(-100, 10**9),
    st.none() | st.integers(-40, 900),
)


@given(st.lists(GRANTS, max_size=5))
def test_both_columns_add_up_to_what_is_deferred(deferred: list[DeferredGrant]) -> None:
    spread = spread_deferred(deferred, FIRST)
    whole = sum(each.amount.micros for each in deferred)
    assert sum(each.expected.micros for each in spread) == sum(each.lapsing.micros for each in spread) == whole
