"""Time is injected: services ask a clock, tests and the simulator own it."""

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)


@cache
def _list_time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def check_time_zone(name: str) -> str:
    """Check that a time zone is one of the IANA database. Raises: ValueError."""
    if name not in _list_time_zones():
        raise ValueError(f"{name!r} is no time zone; write one like Asia/Shanghai")
    return name


@lru_cache(maxsize=4096)
def local_day(moment: datetime, time_zone: str) -> date:
    """Find the calendar day that a moment falls into in a time zone."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


# The month that was found last for each time zone and billing day, and its moments: mostly it is the next one, too.
_LAST_MONTHS: dict[tuple[str, int], tuple[datetime, datetime, str]] = {}


def billing_month(moment: datetime, time_zone: str, billing_day: int = 1) -> str:
    """Find the billing month ("2026-11") that a moment falls into; the one that was found last is not computed anew."""
    last = _LAST_MONTHS.get((time_zone, billing_day))
    if last is not None and last[0] <= moment < last[1]:
        return last[2]
    month = compute_billing_month(moment, time_zone, billing_day)
    begin, end = month_start(month, time_zone, billing_day), month_end(month, time_zone, billing_day)
    _LAST_MONTHS[time_zone, billing_day] = begin, end, month
    return month


def compute_billing_month(moment: datetime, time_zone: str, billing_day: int = 1) -> str:
    """Compute the billing month of a moment: it is named after the month in which it begins."""
    day = local_day(moment, time_zone)
    month = day.strftime("%Y-%m")
    if day.day < billing_day:
        month = previous_month(month)
    # Clocks that are put back over midnight show the day before once more; its month is over all the same.
    return next_month(month) if moment >= month_end(month, time_zone, billing_day) else month


@lru_cache(maxsize=4096)
def next_month(month: str) -> str:
    """Compute the billing month after a given one: "2026-12" → "2027-01"."""
    return (datetime.strptime(month, "%Y-%m").replace(day=28, tzinfo=UTC) + timedelta(days=4)).strftime("%Y-%m")


@lru_cache(maxsize=4096)
def previous_month(month: str) -> str:
    """Compute the billing month before a given one: "2027-01" → "2026-12"."""
    return (datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC) - timedelta(days=1)).strftime("%Y-%m")


@lru_cache(maxsize=4096)
def month_start(month: str, time_zone: str, billing_day: int = 1) -> datetime:
    """Compute the first moment (UTC) of a billing month: when clocks there first show its billing day."""
    first = datetime.strptime(month, "%Y-%m").replace(day=billing_day, tzinfo=UTC).date()
    return _begin_day(first, ZoneInfo(time_zone))


def month_end(month: str, time_zone: str, billing_day: int = 1) -> datetime:
    """Compute the first moment (UTC) after a billing month."""
    return month_start(next_month(month), time_zone, billing_day)


def _begin_day(day: date, zone: ZoneInfo) -> datetime:
    """Find the first moment (UTC) at which clocks of a zone show a day, or a later one where they skip its midnight."""
    midnight = datetime.combine(day, time.min, tzinfo=zone)
    first, second = (midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if second >= first:
        return first
    # Clocks are put forward over midnight: somewhere between the two readings of it.
    seconds = range(int((first - second).total_seconds()) + 1)
    passed = bisect_left(seconds, True, key=lambda each: local_day(second + timedelta(seconds=each), zone.key) >= day)
    return second + timedelta(seconds=passed)
