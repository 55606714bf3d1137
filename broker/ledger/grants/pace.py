"""How far prepaid units reach: shares in per cent, and days at the pace of late. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

PACE_WINDOW = timedelta(days=30)
SHORTEST_WINDOW = timedelta(hours=1)  # of what has just begun; a shorter one would make any pace look like a storm
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Pace:
    """What was used over a window up to now. Units: those of one meter, seconds."""

    quantity: int
    window_seconds: int

    def compute_days_left(self, left: int) -> Decimal | None:
        """Compute for how many days so many units last at this pace, to a tenth; None where nothing is used."""
        if self.quantity == 0:
            return None
        return _to_tenth(left * self.window_seconds, self.quantity * DAY_SECONDS)

    def project(self, seconds: int) -> int:
        """Compute what this pace uses in so many seconds, rounded down to whole units."""
        return self.quantity * max(0, seconds) // self.window_seconds


def find_window_start(begun_at: datetime, now: datetime) -> datetime:
    """Find since when usage tells the pace: 30 days, or since it could begin, but for an hour at least."""
    return min(max(begun_at, now - PACE_WINDOW), now - SHORTEST_WINDOW)


def make_pace(quantity: int, begun_at: datetime, now: datetime) -> Pace:
    """Make the pace of what was used since the window's start; less than nothing, by corrections, is nothing."""
    window = now - find_window_start(begun_at, now)
    return Pace(max(0, quantity), int(window.total_seconds()))


def compute_percent(part: int, whole: int) -> Decimal | None:
    """Compute a share in per cent, rounded down to a tenth; None of nothing."""
    return _to_tenth(100 * part, whole) if whole else None


def _to_tenth(dividend: int, divisor: int) -> Decimal:
    return (Decimal(dividend) / divisor).quantize(Decimal("0.1"), rounding=ROUND_DOWN)
