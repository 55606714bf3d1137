"""Time is injected: services ask a clock, tests and the simulator own it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)


def local_day(moment: datetime, time_zone: str) -> date:
    """Find the calendar day that a moment falls into in a time zone."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def billing_month(moment: datetime, time_zone: str) -> str:
    """Find the billing month ("2026-11") that a moment falls into, in the contract's time zone."""
    return moment.astimezone(ZoneInfo(time_zone)).strftime("%Y-%m")


def next_month(month: str) -> str:
    """Compute the billing month after a given one: "2026-12" → "2027-01"."""
    return (datetime.strptime(month, "%Y-%m").replace(day=28, tzinfo=UTC) + timedelta(days=4)).strftime("%Y-%m")


def month_end(month: str, time_zone: str) -> datetime:
    """Compute the first moment (UTC) after a billing month."""
    first = datetime.strptime(next_month(month), "%Y-%m").replace(tzinfo=ZoneInfo(time_zone))
    return first.astimezone(UTC)
