"""The charts of the report on estimates, as inline SVG."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from statistics import median

from pricing.calibration.accuracy import DriftWindow, JudgedRun, ReliabilityPoint
from pricing.calibration.coverage import P90_BAND

WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, FOOT = 68, 36, 12, 44
# The axis of shares starts at one half, or lower where the coverage does.
DRIFT_FLOOR = 0.5

Tick = tuple[float, str]


def draw_predictions(runs: Sequence[JudgedRun]) -> str:
    """Estimated across, taken up, on logarithmic axes of the same length; lines of equality and of the usual p90."""
    seen = [value for run in runs for value in (run.p50, run.p90, run.actual)]
    low = math.floor(math.log10(min(seen)))
    high = max(math.ceil(math.log10(max(seen))), low + 1)

    def share(value: float) -> float:
        return (math.log10(value) - low) / (high - low)

    ticks = [(share(10.0**power), f"{10.0**power:,.0f}") for power in range(low, high + 1)]
    wider = share(10.0**low * median(run.p90 / run.p50 for run in runs))
    return _svg(
        "Estimated and actual GPU-seconds of every job",
        _grid(ticks, ticks),
        [_line("guide", (0, 0), (1, 1)), _line("upper", (0, wider), (1 - wider, 1))],
        (_draw_run(share(run.p50), share(run.actual), run) for run in runs),
        _name_axes("estimated GPU-seconds (p50)", "actual GPU-seconds"),
    )


def _draw_run(x: float, y: float, run: JudgedRun) -> str:
    words = f"{run.job_id}: estimated {run.p50:,.0f} to {run.p90:,.0f}, took {run.actual:,.0f} GPU-seconds"
    return _dot("mark" if run.is_covered(0.9) else "miss", x, y, words if run.has_ended else f"{words} and was stopped")


def draw_reliability(points: Sequence[ReliabilityPoint]) -> str:
    """How many should have stayed at or below a quantile across, how many did up, with 95 % intervals."""
    ticks = [(fifth / 5, f"{fifth * 20} %") for fifth in range(6)]
    return _svg(
        "Reliability diagram",
        _grid(ticks, ticks),
        [_line("guide", (0, 0), (1, 1))],
        (_line("whisker", (it.level, it.observed.lower), (it.level, it.observed.upper)) for it in points),
        [_polyline((it.level, it.observed.share) for it in points)],
        (
            _dot("mark", it.level, it.observed.share, f"{it.observed.share:.0%} where {it.level:.0%} should have been")
            for it in points
        ),
        _name_axes("share that should be at or below", "share that was"),
    )


def draw_drift(windows: Sequence[DriftWindow]) -> str:
    """Coverage of p90, window after window, on its band."""
    shares = [window.accuracy.p90.share for window in windows]
    floor = math.floor(10 * min(DRIFT_FLOOR, *shares)) / 10

    def up(value: float) -> float:
        return (value - floor) / (1 - floor)

    last = max(1, len(windows) - 1)
    places = [(place / last, up(share)) for place, share in enumerate(shares)]
    ends = [(0.0, f"{windows[0].ended_at:%Y-%m-%d}"), (1.0, f"{windows[-1].ended_at:%Y-%m-%d}")]
    levels = [(up(tenth / 10), f"{tenth * 10} %") for tenth in range(round(floor * 10), 11)]
    return _svg(
        "Coverage of p90 over time",
        [_band(up(P90_BAND[0]), up(P90_BAND[1]))],
        _grid(ends if len(windows) > 1 else ends[:1], levels),
        [_polyline(places)],
        (
            _dot("mark", *place, f"{share:.0%} until {window.ended_at:%Y-%m-%d %H:%M}")
            for place, share, window in zip(places, shares, windows, strict=True)
        ),
        _name_axes("", "share at or below p90"),
    )


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - FOOT - share * (HEIGHT - TOP - FOOT), 1)


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return f'<line class="{kind}" x1="{_x(start[0])}" y1="{_y(start[1])}" x2="{_x(end[0])}" y2="{_y(end[1])}"/>'


def _polyline(places: Iterable[tuple[float, float]]) -> str:
    return f'<polyline class="line" points="{" ".join(f"{_x(x)},{_y(y)}" for x, y in places)}"/>'


def _dot(kind: str, x: float, y: float, words: str) -> str:
    return f'<circle class="{kind}" cx="{_x(x)}" cy="{_y(y)}" r="3.5"><title>{escape(words)}</title></circle>'


def _band(lower: float, upper: float) -> str:
    size = f'width="{WIDTH - LEFT - RIGHT}" height="{_y(lower) - _y(upper):.1f}"'
    return f'<rect class="band" x="{LEFT}" y="{_y(upper)}" {size}/>'


def _grid(across: Iterable[Tick], up: Iterable[Tick]) -> list[str]:
    """Lines at shares of the axes, each with its words."""
    upright = (
        f'{_line("axis", (share, 0), (share, 1))}<text x="{_x(share)}" y="{_y(0) + 16}" text-anchor="middle">{words}'
        "</text>"
        for share, words in across
    )
    level = (
        f'{_line("axis", (0, share), (1, share))}<text x="{LEFT - 6}" y="{_y(share) + 4}" text-anchor="end">{words}'
        "</text>"
        for share, words in up
    )
    return [*upright, *level]


def _name_axes(across: str, up: str) -> list[str]:
    middle = (TOP + HEIGHT - FOOT) / 2
    return [
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{across}</text>',
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{up}</text>',
    ]


def _svg(title: str, *layers: Iterable[str]) -> str:
    drawn = "".join(part for layer in layers for part in layer)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{drawn}</svg>'
