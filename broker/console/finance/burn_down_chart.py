"""A burn-down as numbers of an SVG: actual, even pace, the band between the fast and the slow pace. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from broker.console.frame.charts import round_up
from broker.reports.commitments.trace import BurnDownTrace, Point

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 200, 56, 8, 20
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Tick:
    """A gridline with what it stands for: GPU-hours at a height, or a moment at a place."""

    at: float
    hours: Fraction | None = None
    moment: datetime | None = None


@dataclass(frozen=True)
class BurnDownChart:
    """The lines as points of SVG polylines ("x,y x,y"); `band` is a polygon. Empty: there is no such line."""

    actual: str
    even: str
    usual: str
    band: str
    now_x: float
    heights: Sequence[Tick]
    moments: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


def place_burn_down(trace: BurnDownTrace) -> BurnDownChart:
    """Place a trace: time from the period's beginning to its end, GPU-hours from nought to a round number."""
    begin, end = trace.even[0].moment, trace.even[-1].moment
    span = max(1, int((end - begin).total_seconds()))
    top = round_up(Fraction(max(1, trace.most), SECONDS_PER_HOUR))

    def x_of(moment: datetime) -> float:
        share = min(Fraction(1), max(Fraction(0), Fraction(int((moment - begin).total_seconds()), span)))
        return round(LEFT + (WIDTH - LEFT) * float(share), 2)

    def y_of(left: int) -> float:
        share = Fraction(max(0, left), SECONDS_PER_HOUR) / top
        return round(TOP + (HEIGHT - TOP - BOTTOM) * float(1 - share), 2)

    def write(line: Sequence[Point]) -> str:
        return " ".join(f"{x_of(point.moment)},{y_of(point.left)}" for point in line)

    heights = [
        Tick(y_of(int(top * SECONDS_PER_HOUR * Fraction(part, 4))), top * Fraction(part, 4)) for part in range(5)
    ]
    moments = [begin + (end - begin) * part / 4 for part in range(5)]
    return BurnDownChart(
        actual=write(trace.actual),
        even=write(trace.even),
        usual=write(trace.usual),
        band=write([*trace.fast, Point(end, trace.fast[-1].left), *reversed(trace.slow)]) if trace.fast else "",
        now_x=x_of(trace.actual[-1].moment),
        heights=heights,
        moments=[Tick(x_of(moment), None, moment) for moment in moments],
    )
