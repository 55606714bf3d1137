"""What a customer's page makes of days: moments in the time zone of the house, whatever day is asked for."""

from datetime import UTC, date, datetime

import pytest

from broker.console.finance.customer_view import find_moment, read_change
from broker.console.frame.forms import Submitted

NOW = datetime(2026, 11, 10, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "zone", "moment"),
    [
        (date(2026, 11, 9), "Asia/Shanghai", "2026-11-09T15:59:59.999999+00:00"),
        (date(2026, 11, 9), "America/New_York", NOW.isoformat()),  # there it is still the 9th
        (date(2026, 11, 8), "America/New_York", "2026-11-09T04:59:59.999999+00:00"),
        (date(2026, 11, 1), "America/New_York", "2026-11-02T04:59:59.999999+00:00"),  # a day of 25 hours
        (date(9999, 12, 31), "Asia/Shanghai", NOW.isoformat()),
        (None, "Asia/Shanghai", NOW.isoformat()),
    ],
)
def test_a_day_is_over_in_the_time_zone_of_the_house(day: date | None, zone: str, moment: str) -> None:
    assert find_moment(day, NOW, zone) == datetime.fromisoformat(moment)


def test_a_change_begins_with_its_day_in_the_time_zone_of_the_house() -> None:
    form = Submitted({"ends_at": "2027-01-01", "effective_at": "soon"}, {}, "k")
    body = read_change(form, "America/New_York")
    assert body == {"ends_at": "2027-01-01T00:00:00-05:00", "effective_at": "soon"}
    assert read_change(form, "Asia/Shanghai")["ends_at"] == "2027-01-01T00:00:00+08:00"
