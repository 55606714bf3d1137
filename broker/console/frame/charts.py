"""Charts as numbers of an SVG: scales, gridlines, bars. Pure; the templates draw them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 600, 160, 56, 16, 6
MOST_LABELS = 12
Exact = int | Decimal | Fraction


@dataclass(frozen=True)
class Line:
    """A gridline at a height, with what it stands for."""

    y: float
    label: str


@dataclass(frozen=True)
class Bar:
    """A bar, what it is of, what it says, and whether there is room for its label below."""

    x: float
    y: float
    width: float
    height: float
    label: str
    told: str
    shows_label: bool


@dataclass(frozen=True)
class Bars:
    bars: Sequence[Bar]
    lines: Sequence[Line]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


def place_bars(values: Sequence[tuple[str, Exact]], write: Callable[[Exact], str]) -> Bars:
    """Place bars side by side from nought up to a round number; `write` says an amount as a person reads it.

    What is less than nought, since more was taken back than came, has no height: it is told, and stands in the table.
    """
    top = round_up(max([Fraction(value) for _label, value in values], default=Fraction(0)))
    depth = HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT) / max(1, len(values))
    every = -(-len(values) // MOST_LABELS) if values else 1
    bars = []
    for place, (label, value) in enumerate(values):
        height = float(max(Fraction(0), Fraction(value)) / top) * depth
        x, y = round(LEFT + place * step + step * 0.15, 2), round(TOP + depth - height, 2)
        bars.append(Bar(x, y, round(step * 0.7, 2), round(height, 2), label, write(value), place % every == 0))
    parts = count_parts(top)
    shares = [Fraction(part, parts) for part in range(parts + 1)]
    lines = [Line(round(TOP + depth * float(1 - share), 2), write(top * share)) for share in shares]
    return Bars(bars, lines)


def count_parts(top: Fraction) -> int:
    """Count the parts of a scale that ends at a round number, so that each gridline stands at one, too."""
    digits = str(top.numerator * 10 ** len(str(top.denominator)) // top.denominator).rstrip("0")
    return 5 if digits in {"1", "5"} else 4


def round_up(value: Exact) -> Fraction:
    """Find the next number of 1, 2, 4, 5 or 8 times a power of ten that is not below a value; 1 for nought."""
    exact = Fraction(value)
    if exact <= 0:
        return Fraction(1)
    power = Fraction(1)
    while power * 10 <= exact:
        power *= 10
    while power > exact:
        power /= 10
    return next(power * lead for lead in (1, 2, 4, 5, 8, 10) if power * lead >= exact)
