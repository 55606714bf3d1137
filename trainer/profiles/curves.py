"""Polynomials through measured points."""

from collections.abc import Sequence
from fractions import Fraction

from pricing.catalog.profile import Curve

BYTES_TOLERANCE = 1e-3


class NotAPolynomial(ValueError):
    """A measured cost does not grow as constant + linear·n + quadratic·n²: the profile would mislead."""


def fit_curve(sizes: Sequence[int], costs: Sequence[float], *, tolerance: float = BYTES_TOLERANCE) -> Curve:
    """Fit the polynomial through the first three points; any further one checks it.

    Source: Newton's divided differences, in exact fractions.
    Raises: NotAPolynomial, where a further point lies off it by more than `tolerance` of its cost.
    """
    (a, b, c), (at_a, at_b, at_c) = sizes[:3], (Fraction(cost) for cost in costs[:3])
    first, second = (at_b - at_a) / (b - a), (at_c - at_b) / (c - b)
    quadratic = (second - first) / (c - a)
    linear = first - quadratic * (a + b)
    curve = Curve(constant=float(at_a - (linear + quadratic * a) * a), linear=float(linear), quadratic=float(quadratic))
    for size, cost in zip(sizes[3:], costs[3:], strict=True):
        if abs(curve.at(size) - cost) > tolerance * cost:
            raise NotAPolynomial(f"predicted {curve.at(size):.6g} at n = {size}, measured {cost:.6g}")
    return curve
