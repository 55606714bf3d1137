"""When what is left is used up: a range of days, from how much contracts use in a week. Pure.

The paces are quantiles of the last twelve whole weeks' usage, weeks without any among them, interpolated between the
two nearest: at the busiest tenth's (p90) it is used up first, at the quietest tenth's (p10) last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

WEEK = timedelta(weeks=1)
MOST_WEEKS, LEAST_WEEKS = 12, 2
# What lasts longer than this is not used up by anything that is seen of its pace.
FAR = timedelta(days=3660)


@dataclass(frozen=True)
class BurnDown:
    """The moments at which what is left is used up, at three paces; None: not at that pace, or nobody can say yet.

    `paces` are in units a week: the tenth, fiftieth and ninetieth percentile of so many weeks.
    """

    weeks: int
    paces: tuple[Fraction, Fraction, Fraction] | None
    earliest: datetime | None
    expected: datetime | None
    latest: datetime | None


def list_weeks(used: Mapping[int, int], begun_at: datetime, now: datetime) -> list[int]:
    """List what was used in each whole week before now since a contract has begun, the last first, twelve at most."""
    count = min(MOST_WEEKS, max(0, (now - begun_at) // WEEK))
    return [max(0, used.get(week, 0)) for week in range(1, count + 1)]


def find_quantile(values: Sequence[int], share: Fraction) -> Fraction:
    """Find a quantile exactly, between the two values nearest to it (Hyndman and Fan's seventh definition)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def burn_down(left: int, weeks: Sequence[int], now: datetime) -> BurnDown:
    """Tell when so many units are used up, at the paces of these weeks; one week alone tells no range."""
    if len(weeks) < LEAST_WEEKS:
        return BurnDown(len(weeks), None, None, None, None)
    slow, middle, fast = (find_quantile(weeks, Fraction(tenths, 10)) for tenths in (1, 5, 9))
    earliest, expected, latest = (_find_end(left, pace, now) for pace in (fast, middle, slow))
    return BurnDown(len(weeks), (slow, middle, fast), earliest, expected, latest)


def _find_end(left: int, pace: Fraction, now: datetime) -> datetime | None:
    if left <= 0:
        return now
    if pace <= 0 or left / pace > FAR / WEEK:
        return None
    return now + timedelta(seconds=int(left / pace * int(WEEK.total_seconds())))
