"""A waterfall as numbers of an SVG: from what was before, step by step, to what is now. Pure; the template draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pricing.money import Money

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 200, 8, 18, 18


@dataclass(frozen=True)
class WaterfallBar:
    """A bar of the chart: `kind` is total, more or less. `told` is the amount that stands above it."""

    name: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    told: Money


@dataclass(frozen=True)
class Waterfall:
    bars: Sequence[WaterfallBar]
    zero_y: float
    width: int = WIDTH
    height: int = HEIGHT


def place_waterfall(before: Money, steps: Mapping[str, Money], after: Money) -> Waterfall:
    """Place the bars of a waterfall; a total stands on nought, a step between what was before it and after it."""
    spans = [("before", Money.zero(), before)]
    reached = before
    for name, step in steps.items():
        spans.append((name, reached, reached + step))
        reached += step
    spans.append(("after", Money.zero(), after))
    ends = [end.micros for _name, *both in spans for end in both]
    lowest, highest = min(0, *ends), max(1, *ends)
    slot = (WIDTH - 2 * LEFT) / len(spans)

    def height_of(micros: int) -> float:
        share = Fraction(highest - micros, highest - lowest)
        return round(TOP + (HEIGHT - TOP - BOTTOM) * float(share), 2)

    bars = []
    for place, (name, begin, end) in enumerate(spans):
        top, bottom = height_of(max(begin.micros, end.micros)), height_of(min(begin.micros, end.micros))
        is_total = name in {"before", "after"}
        kind = "total" if is_total else "more" if end >= begin else "less"
        told = end if is_total else end - begin
        x = round(LEFT + place * slot + slot * 0.14, 2)
        bars.append(WaterfallBar(name, kind, x, top, round(slot * 0.72, 2), max(1.0, round(bottom - top, 2)), told))
    return Waterfall(bars, height_of(0))
