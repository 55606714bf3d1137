"""Time is injected: services ask a clock, tests and the simulator own it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)


def billing_month(moment: datetime, time_zone: str) -> str:
    """The billing month ("2026-11") that a moment falls into, in the contract's time zone."""
    return moment.astimezone(ZoneInfo(time_zone)).strftime("%Y-%m")


def month_end(month: str, time_zone: str) -> datetime:
    """The first moment (UTC) after a billing month."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=ZoneInfo(time_zone))
    next_month = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return next_month.astimezone(UTC)
