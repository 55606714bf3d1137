"""Fitting a few positive constants to measurements, starting from what is believed of them. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MAX_ROUNDS = 40
MAX_DAMPINGS = 12
NUDGE = 1e-5
SMALL_GAIN = 1e-7
# Residuals beyond two scales count less and less, so that one odd measurement cannot pull the fit to itself.
TOLERATED_SCALES = 2.0

Values = Mapping[str, float]
Residuals = Callable[[Values], Sequence[float]]


@dataclass(frozen=True)
class Prior:
    """What is believed of a constant before measuring: its value, and the standard deviation of its logarithm."""

    value: float
    spread: float
    source: str


def fit_constants(
    priors: Mapping[str, Prior], residuals: Residuals, *, scale: float, near: Values | None = None
) -> dict[str, float]:
    """Fit the most probable constants, given the priors and the residuals log(predicted / measured).

    `scale` is the standard deviation that a residual is expected to have. A constant that no measurement depends on
    keeps its prior's value. `near` is where to begin, what most of the same measurements gave; else at the priors.
    Raises: nothing; it stops at the best values found within 40 rounds.
    Source: maximum a posteriori by damped Gauss-Newton steps (Levenberg-Marquardt) on the logarithms; residuals are
    Cauchy-distributed (Barron 2019, "A General and Adaptive Robust Loss Function", equation 5).
    """
    names = list(priors)
    believed = [math.log(priors[name].value) for name in names]
    weights = [1 / priors[name].spread ** 2 for name in names]

    def measure(logs: Sequence[float]) -> list[float]:
        return [value / scale for value in residuals(dict(zip(names, map(math.exp, logs), strict=True)))]

    def misfit_of(logs: Sequence[float], found: Sequence[float]) -> float:
        doubt = sum(weight * (log - at) ** 2 for weight, log, at in zip(weights, logs, believed, strict=True))
        return doubt + sum(TOLERATED_SCALES**2 * math.log1p((value / TOLERATED_SCALES) ** 2) for value in found)

    logs, damping = believed if near is None else [math.log(near[name]) for name in names], 1e-2
    found = measure(logs)
    cost = misfit_of(logs, found)
    for _ in range(MAX_ROUNDS):
        matrix, gradient = _linearize(logs, found, measure, weights, believed)
        for _ in range(MAX_DAMPINGS):
            step = _solve(_dampen(matrix, damping), gradient)
            tried = [log - change for log, change in zip(logs, step, strict=True)]
            found_there = measure(tried)
            cost_there = misfit_of(tried, found_there)
            if cost_there < cost:
                break
            damping *= 4
        else:
            break
        gain, logs, found, cost = cost - cost_there, tried, found_there, cost_there
        damping = max(damping / 3, 1e-9)
        if gain < SMALL_GAIN * (1 + cost):
            break
    return dict(zip(names, map(math.exp, logs), strict=True))


def _linearize(
    logs: Sequence[float],
    found: Sequence[float],
    measure: Callable[[Sequence[float]], list[float]],
    weights: Sequence[float],
    believed: Sequence[float],
) -> tuple[list[list[float]], list[float]]:
    """Compute the Gauss-Newton matrix and gradient at `logs`, each residual weighted by how far it is believed."""
    columns = []
    for place in range(len(logs)):
        nudged = list(logs)
        nudged[place] += NUDGE
        columns.append([(after - before) / NUDGE for after, before in zip(measure(nudged), found, strict=True)])
    beliefs = [1 / (1 + (value / TOLERATED_SCALES) ** 2) for value in found]
    size = range(len(logs))
    matrix = [[_dot(columns[row], columns[column], beliefs) for column in size] for row in size]
    gradient = [_dot(columns[row], found, beliefs) + weights[row] * (logs[row] - believed[row]) for row in size]
    for row in size:
        matrix[row][row] += weights[row]
    return matrix, gradient


def _dot(left: Sequence[float], right: Sequence[float], weights: Sequence[float]) -> float:
    return sum(a * b * weight for a, b, weight in zip(left, right, weights, strict=True))


def _dampen(matrix: list[list[float]], damping: float) -> list[list[float]]:
    return [
        [value * (1 + damping) if row == column else value for column, value in enumerate(values)]
        for row, values in enumerate(matrix)
    ]


def _solve(matrix: list[list[float]], right: Sequence[float]) -> list[float]:
    """Solve a symmetric positive definite system by elimination; the priors' weights keep it far from singular."""
    rows = [[*values, value] for values, value in zip(matrix, right, strict=True)]
    for place, pivot in enumerate(rows):
        for below in rows[place + 1 :]:
            factor = below[place] / pivot[place]
            if factor:
                below[place:] = [value - factor * top for value, top in zip(below[place:], pivot[place:], strict=True)]
    solution = [0.0] * len(rows)
    for place in reversed(range(len(rows))):
        row = rows[place]
        known = _dot(row[place + 1 : -1], solution[place + 1 :], [1.0] * (len(rows) - place - 1))
        solution[place] = (row[-1] - known) / row[place]
    return solution
