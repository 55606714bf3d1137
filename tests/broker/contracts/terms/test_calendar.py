"""Billing months where amendments change their day and zone: they follow each other, whole, without overlap or gap."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broker.clock import next_month
from broker.contracts.terms.calendar import BillingCalendar, MonthRule, make_calendar
from broker.contracts.terms.changes import TermsChange
from tests.properties import examples

SHANGHAI, SECOND = MonthRule("Asia/Shanghai", 1), timedelta(seconds=1)
NOVEMBER = datetime(2026, 10, 31, 16, tzinfo=UTC)
# Zones with daylight saving both ways, half hours, and the ends of the earth; months with leap days among them.
RULES = st.builds(
    MonthRule,
    st.sampled_from(
        ["Asia/Shanghai", "UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Etc/GMT+12"]
    ),
    st.integers(1, 28),
)


def test_a_later_day_makes_one_month_longer() -> None:
    calendar = BillingCalendar(SHANGHAI).with_rule(MonthRule("Asia/Shanghai", 15), NOVEMBER)
    assert (calendar.start("2026-11"), calendar.end("2026-11")) == (NOVEMBER, datetime(2026, 12, 14, 16, tzinfo=UTC))
    assert calendar.find_month(NOVEMBER - SECOND) == "2026-10"
    assert [calendar.find_month(NOVEMBER + timedelta(days=days)) for days in (0, 20, 44)] == [
        "2026-11",
        "2026-11",
        "2026-12",
    ]


def test_an_earlier_day_makes_one_month_shorter() -> None:
    begins = datetime(2026, 11, 14, 16, tzinfo=UTC)
    calendar = BillingCalendar(MonthRule("Asia/Shanghai", 15)).with_rule(SHANGHAI, begins)
    assert (calendar.start("2026-11"), calendar.end("2026-11")) == (begins, datetime(2026, 11, 30, 16, tzinfo=UTC))


def test_a_month_that_a_cut_changes_would_have_ended_by_the_rule_of_its_beginning() -> None:
    longer = BillingCalendar(SHANGHAI).with_rule(MonthRule("Asia/Shanghai", 15), NOVEMBER)
    assert longer.whole_end("2026-11") == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert longer.whole_end("2026-12") == longer.end("2026-12") == datetime(2027, 1, 14, 16, tzinfo=UTC)
    shorter = BillingCalendar(MonthRule("Asia/Shanghai", 15)).with_rule(SHANGHAI, NOVEMBER + timedelta(days=14))
    assert shorter.whole_end("2026-11") == datetime(2026, 12, 14, 16, tzinfo=UTC)


def test_the_calendar_of_a_contract_is_made_of_its_changes() -> None:
    signed = TermsChange(NOVEMBER - timedelta(days=99), {"time_zone": "Asia/Shanghai", "billing_day": 1})
    other = TermsChange(NOVEMBER - timedelta(days=9), {"committed_gpu_hours": 5})
    moved = TermsChange(NOVEMBER, {"billing_day": 15})
    expected = BillingCalendar(SHANGHAI).with_rule(MonthRule("Asia/Shanghai", 15), NOVEMBER)
    assert make_calendar(MonthRule("UTC", 9), [signed, other, moved]) == expected
    assert make_calendar(SHANGHAI, [signed, moved]) == expected
    assert make_calendar(SHANGHAI, []) == BillingCalendar(SHANGHAI)


@examples(60)
@given(
    first=RULES, later=st.lists(st.tuples(RULES, st.integers(1, 5)), max_size=3), moments=st.lists(st.floats(0, 900))
)
def test_months_follow_each_other_without_overlap_or_gap(
    first: MonthRule, later: list[tuple[MonthRule, int]], moments: list[float]
) -> None:
    calendar, month = BillingCalendar(first), "2027-11"
    for rule, months_after in later:
        for _ in range(months_after):
            month = next_month(month)
        cut = calendar.with_rule(rule, calendar.start(month))
        if cut.end(month) > calendar.start(month):  # an amendment that leaves no month is refused
            calendar = cut
    for days in moments:
        moment = datetime(2027, 10, 1, tzinfo=UTC) + timedelta(days=days)
        month = calendar.find_month(moment)
        assert calendar.start(month) <= moment < calendar.end(month)
        assert calendar.find_month(calendar.start(month)) == month
        assert calendar.end(month) == calendar.start(next_month(month))
