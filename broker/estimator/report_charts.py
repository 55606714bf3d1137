"""The charts of the report on estimates, laid out in shares of their axes: the template draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pricing.calibration.accuracy import DriftWindow, JudgedRun, ReliabilityPoint
from pricing.calibration.coverage import P90_BAND

# The axis of shares starts at one half, or lower where the coverage does.
DRIFT_FLOOR = 0.5

Place = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A mark at a share of an axis, with its label."""

    share: float
    words: str


@dataclass(frozen=True)
class Line:
    """A line between two places; its kind is a class of the style sheet."""

    kind: str
    start: Place
    end: Place


@dataclass(frozen=True)
class Dot:
    """A dot, the words that show when it is pointed at, and its kind, a class of the style sheet."""

    kind: str
    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Chart:
    """One chart. Places are shares of the axes, 0 to 1, from the lower left."""

    title: str
    across_name: str
    up_name: str
    across: Sequence[Tick]
    up: Sequence[Tick]
    dots: Sequence[Dot]
    lines: Sequence[Line] = ()
    path: Sequence[Place] = ()
    bands: Sequence[Place] = ()


def lay_out_predictions(runs: Sequence[JudgedRun]) -> Chart:
    """Lay out actual over estimated seconds, on logarithmic axes of one length; lines of equality and the usual p90."""
    seen = [value for run in runs for value in (run.p50, run.p90, run.actual)]
    low = math.floor(math.log10(min(seen)))
    high = max(math.ceil(math.log10(max(seen))), low + 1)

    def share(value: float) -> float:
        return (math.log10(value) - low) / (high - low)

    ticks = [Tick(share(10.0**power), f"{10.0**power:,.0f}") for power in range(low, high + 1)]
    wider = share(10.0**low * median(run.p90 / run.p50 for run in runs))
    return Chart(
        title="Estimated and actual GPU-seconds of every job",
        across_name="estimated GPU-seconds (p50)",
        up_name="actual GPU-seconds",
        across=ticks,
        up=ticks,
        lines=[Line("guide", (0, 0), (1, 1)), Line("upper", (0, wider), (1 - wider, 1))],
        dots=[_lay_out_run(share(run.p50), share(run.actual), run) for run in runs],
    )


def _lay_out_run(x: float, y: float, run: JudgedRun) -> Dot:
    words = f"{run.job_id}: estimated {run.p50:,.0f} to {run.p90:,.0f}, took {run.actual:,.0f} GPU-seconds"
    return Dot("mark" if run.is_covered(0.9) else "miss", x, y, words if run.has_ended else f"{words} and was stopped")


def lay_out_reliability(points: Sequence[ReliabilityPoint]) -> Chart:
    """Lay out which share stayed at or below a quantile, over which share should have, with 95 % intervals."""
    ticks = [Tick(fifth / 5, f"{fifth * 20} %") for fifth in range(6)]
    whiskers = [Line("whisker", (it.level, it.observed.lower), (it.level, it.observed.upper)) for it in points]
    return Chart(
        title="Reliability diagram",
        across_name="share that should be at or below",
        up_name="share that was",
        across=ticks,
        up=ticks,
        lines=[Line("guide", (0, 0), (1, 1)), *whiskers],
        path=[(it.level, it.observed.share) for it in points],
        dots=[
            Dot("mark", it.level, it.observed.share, f"{it.observed.share:.0%} where {it.level:.0%} should have been")
            for it in points
        ],
    )


def lay_out_drift(windows: Sequence[DriftWindow]) -> Chart:
    """Lay out the coverage of p90, window after window, with the band that it should stay in."""
    shares = [window.accuracy.p90.share for window in windows]
    floor = math.floor(10 * min(DRIFT_FLOOR, *shares)) / 10

    def up(value: float) -> float:
        return (value - floor) / (1 - floor)

    last = max(1, len(windows) - 1)
    places = [(place / last, up(share)) for place, share in enumerate(shares)]
    ends = [Tick(0.0, f"{windows[0].ended_at:%Y-%m-%d}"), Tick(1.0, f"{windows[-1].ended_at:%Y-%m-%d}")]
    return Chart(
        title="Coverage of p90 over time",
        across_name="",
        up_name="share at or below p90",
        across=ends if len(windows) > 1 else ends[:1],
        up=[Tick(up(tenth / 10), f"{tenth * 10} %") for tenth in range(round(floor * 10), 11)],
        bands=[(up(P90_BAND[0]), up(P90_BAND[1]))],
        path=places,
        dots=[
            Dot("mark", *place, f"{share:.0%} until {window.ended_at:%Y-%m-%d %H:%M}")
            for place, share, window in zip(places, shares, windows, strict=True)
        ],
    )
