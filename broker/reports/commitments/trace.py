"""The way a commitment is used up: what was left week by week, the even pace, and where the paces of weeks lead. Pure.

What was left at a moment is what is left now and all that was used since: so the line ends at what is left now, and a
grant that was given or taken back meanwhile moves the whole of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from broker.ledger.grants.commit_usage import Window, read_used_by_week
from broker.reports.commitments.burn_down import WEEK
from broker.reports.commitments.report import CommitmentRow
from broker.work import Work


@dataclass(frozen=True)
class Point:
    """How many GPU-seconds are left at a moment."""

    moment: datetime
    left: int


@dataclass(frozen=True)
class BurnDownTrace:
    """The lines of a burn-down chart, from the period's beginning to its end, the points of each in order of time.

    `fast`, `usual` and `slow` begin now, and go on at the ninetieth, fiftieth and tenth percentile of weekly usage;
    they are empty where nobody can say yet.
    """

    actual: Sequence[Point]
    even: Sequence[Point]
    fast: Sequence[Point]
    usual: Sequence[Point]
    slow: Sequence[Point]

    @property
    def most(self) -> int:
        """Tell the highest point of all."""
        return max((point.left for line in (self.actual, self.even) for point in line), default=0)


def trace_burn_down(row: CommitmentRow, weeks: Mapping[int, int], now: datetime) -> BurnDownTrace:
    """Trace how a commitment was used up, by what each week before now used (1: the last), and how it goes on."""
    period = row.commitment.period
    until = min(now, period.ends_at)
    slow, usual, fast = row.burn_down.paces or (None, None, None)
    return BurnDownTrace(
        actual=_list_past(row.left, weeks, period.starts_at, until),
        even=[Point(period.starts_at, row.commitment.attained.committed), Point(period.ends_at, 0)],
        fast=_go_on(row.left, fast, until, period.ends_at),
        usual=_go_on(row.left, usual, until, period.ends_at),
        slow=_go_on(row.left, slow, until, period.ends_at),
    )


def _list_past(left: int, weeks: Mapping[int, int], begun_at: datetime, now: datetime) -> list[Point]:
    points, moment, week = [Point(now, left)], now, 1
    while moment - WEEK > begun_at:
        moment -= WEEK
        left += weeks.get(week, 0)
        week += 1
        points.append(Point(moment, left))
    rest = sum(used for number, used in weeks.items() if number >= week)
    return [Point(begun_at, left + rest), *reversed(points)]


def _go_on(left: int, pace: Fraction | None, now: datetime, end: datetime) -> list[Point]:
    """Go on from now at a pace, in units a week, until nothing is left or the period ends."""
    if pace is None or now >= end:
        return []
    at_end = left - int(pace * Fraction(int((end - now).total_seconds()), int(WEEK.total_seconds())))
    if at_end >= 0:
        return [Point(now, left), Point(end, at_end)]
    lasts = timedelta(seconds=int(left / pace * int(WEEK.total_seconds()))) if pace else timedelta(0)
    return [Point(now, left), Point(now + lasts, 0)]


async def read_traces(work: Work, rows: Sequence[CommitmentRow]) -> dict[str, BurnDownTrace]:
    """Read how the commitments of some contracts were used up, by their ids, in one statement."""
    windows = {row.terms.id: Window.since(row.terms, row.commitment.period.starts_at) for row in rows}
    weeks = await read_used_by_week(work, windows) if windows else {}
    return {row.terms.id: trace_burn_down(row, weeks.get(row.terms.id, {}), work.now) for row in rows}
