"""A job's loss curve as numbers of an SVG: band, mean, smoothed, validation, marks; and the same as a table. Pure."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from broker.jobs.reading.loss_curve import LossCurve

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 260, 56, 20, 8, 8
TICKS = 5
# As TensorBoard smooths by default: a mean that forgets, without the bias of its beginning.
SMOOTHING = 0.6
LEAST_LOGGED = 1e-6
SHOWN_ROWS = 200
LossRow = tuple[int, float | None, float | None, float | None, float | None]


@dataclass(frozen=True)
class Tick:
    """A gridline, and what it stands for."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """Something that happened, at its step."""

    x: float
    step: int
    kind: str


@dataclass(frozen=True)
class Reading:
    """A strip of the chart, and what stands there: a step, its mean, lowest, highest and validation loss."""

    x: float
    width: float
    step: int
    values: Sequence[float | None]


@dataclass(frozen=True)
class LossChart:
    """Lines as the `points` of polygons and polylines; each is empty where there is nothing to draw."""

    band: str
    mean: str
    smoothed: str
    validation: str
    validation_dots: Sequence[tuple[float, float]]
    marks: Sequence[Mark]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    readings: Sequence[Reading]
    last_loss: float | None
    last_validation: float | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def smooth(values: Iterable[float], weight: float = SMOOTHING) -> list[float]:
    """Smooth values by a mean that forgets the earlier ones, as TensorBoard does; the first stays as it is."""
    smoothed: list[float] = []
    running, debias = 0.0, 1.0
    for value in values:
        running, debias = weight * running + (1 - weight) * value, debias * weight
        smoothed.append(running / (1 - debias))
    return smoothed


@dataclass(frozen=True)
class Span:
    """What a chart has to have room for: the first and the last step, the lowest and the highest loss."""

    first: int
    last: int
    low: float
    high: float


def draw_together(curves: Iterable[LossCurve]) -> list[LossChart | None]:
    """Draw curves that are compared: all on the same axes."""
    known = list(curves)
    spans = [span for curve in known if (span := _measure(curve)) is not None]
    return [draw_losses(curve, within=_join(spans)) if spans else None for curve in known]


def _measure(curve: LossCurve) -> Span | None:
    """Measure a curve; None where it has nothing to draw."""
    held = _list_held(curve)
    losses = [value for each in curve.training for value in (each.low, each.high)] + [loss for _step, loss in held]
    if not losses:
        return None
    last = max([each.step for each in curve.training] + [step for step, _loss in held])
    return Span(0 if curve.first <= 1 else min(curve.first, last - 1), last, min(losses), max(losses))


def _join(spans: Sequence[Span]) -> Span:
    first, last = min(each.first for each in spans), max(each.last for each in spans)
    return Span(first, last, min(each.low for each in spans), max(each.high for each in spans))


def _list_held(curve: LossCurve) -> list[tuple[int, float]]:
    """List the validation losses by step; of a step that was done twice the last."""
    return sorted({each.step: each.loss for each in curve.validation if each.loss is not None}.items())


def draw_losses(curve: LossCurve, *, is_log: bool = False, within: Span | None = None) -> LossChart | None:
    """Draw a curve, on axes of its own or those that are given (`within`). None: nothing to draw.

    On a logarithmic scale what is not above zero lies on its lower border.
    """
    own = _measure(curve)
    if own is None:
        return None
    span, held, train = within or own, _list_held(curve), curve.training
    first, last = span.first, span.last
    x, y, y_ticks = _scale_steps(first, last), *_scale_losses((span.low, span.high), is_log=is_log)
    band = [(x(each.step), y(each.high)) for each in train] + [(x(each.step), y(each.low)) for each in reversed(train)]
    dots = [(x(step), y(loss)) for step, loss in held]
    smoothed = smooth(each.mean for each in train)
    return LossChart(
        band=_write_points(band),
        mean=_write_points((x(each.step), y(each.mean)) for each in train),
        smoothed=_write_points((x(each.step), y(value)) for each, value in zip(train, smoothed, strict=True)),
        validation=_write_points(dots),
        validation_dots=dots,
        marks=[Mark(x(mark.step), mark.step, mark.kind) for mark in curve.marks if mark.step is not None],
        x_ticks=[Tick(x(step), f"{step:,}") for step in _choose_steps(first, last)],
        y_ticks=y_ticks,
        readings=_place_readings(list_rows(curve), x),
        last_loss=train[-1].mean if train else None,
        last_validation=held[-1][1] if held else None,
    )


def _place_readings(rows: Sequence[LossRow], x: Callable[[float], float]) -> list[Reading]:
    """Place a strip around the step of each row, as far as half-way to the next: what a pointer over it is told."""
    places = [x(step) for step, *_values in rows]
    middles = [(before + after) / 2 for before, after in pairwise(places)]
    lefts, rights = [float(LEFT), *middles], [*middles, float(WIDTH - RIGHT)]
    return [
        Reading(round(left, 1), round(max(0.0, right - left), 1), step, values)
        for left, right, (step, *values) in zip(lefts, rights, rows, strict=True)
    ]


def _scale_steps(first: int, last: int) -> Callable[[float], float]:
    def place(step: float) -> float:
        share = (step - first) / max(1, last - first)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share)), 1)

    return place


def _choose_steps(first: int, last: int) -> list[int]:
    return sorted({first + (last - first) * part // TICKS for part in range(TICKS + 1)})


def _scale_losses(losses: Sequence[float], *, is_log: bool) -> tuple[Callable[[float], float], list[Tick]]:
    def write(value: float) -> float:
        return math.log10(max(LEAST_LOGGED, value)) if is_log else value

    low, high = min(map(write, losses)), max(map(write, losses))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    depth = HEIGHT - TOP - BOTTOM

    def place(value: float) -> float:
        return round(TOP + depth * (1 - (write(value) - low) / (high - low)), 1)

    levels = [low + (high - low) * part / TICKS for part in range(TICKS + 1)]
    ticks = [
        Tick(round(TOP + depth * (1 - part / TICKS), 1), f"{10**level if is_log else level:.3g}")
        for part, level in enumerate(levels)
    ]
    return place, ticks


def _write_points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def list_rows(curve: LossCurve, most: int = SHOWN_ROWS) -> list[LossRow]:
    """List step, mean, lowest, highest and validation loss as rows of a table, at most so many, evenly chosen."""
    held = {each.step: each.loss for each in curve.validation}
    told = {each.step: each for each in curve.training}
    steps = sorted({*held, *told})
    every = max(1, -(-len(steps) // most))
    rows = []
    for place, step in enumerate(steps):
        if place % every and step not in held:
            continue
        each = told.get(step)
        values = (None, None, None) if each is None else (each.mean, each.low, each.high)
        rows.append((step, *values, held.get(step)))
    return rows


def write_csv(curve: LossCurve) -> bytes:
    """Write all of a curve as CSV: numbers alone, which no spreadsheet takes for a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(("step", "mean", "low", "high", "validation"))
    writer.writerows(list_rows(curve, most=2**31))
    return buffer.getvalue().encode("utf-8-sig")
