"""What one run may move of a calibration: no more than the runs beside it support. Pure.

A straggler (a machine that swapped, a run beside another) says nothing of the next run, yet the next customer's price
stands on it. A change that several runs show is believed all the same.
"""

import math
from collections.abc import Sequence
from statistics import median

# What is believed before any run counts in a middle as so many runs: three that agree outweigh it.
PRIOR_RUNS = 3
# The median absolute deviation of a normal distribution is this share of its standard deviation.
MAD_OF_NORMAL = 0.6745
TOLERATED_DEVIATIONS = 2.0


def limit_error(error: float, middle: float, reach: float) -> float:
    """Limit a log error to what lies within reach of the middle; beyond it, it counts the less the farther off it is.

    Source: Hampel et al. 1986, "Robust Statistics": redescending influence, here with the tail of Cauchy's.
    """
    distance = abs(error - middle)
    if distance <= reach:
        return error
    return middle + (reach**2 / distance if error > middle else -(reach**2) / distance)


def find_middle(errors: Sequence[float], believed: float) -> float:
    """Find the median of log errors, what is believed before counting as three of them."""
    return median([*errors, *[believed] * PRIOR_RUNS])


def shrink_mean(errors: Sequence[float], believed: float, reach: float) -> float:
    """Compute the mean of log errors, shrunk to what is believed; those far from their middle count the less.

    Within reach of the middle, or within two deviations where that is farther, an error counts almost wholly.
    """
    middle = find_middle(errors, believed)
    spread = find_middle([abs(error - middle) for error in errors], abs(believed - middle)) / MAD_OF_NORMAL
    tolerated = max(reach, TOLERATED_DEVIATIONS * spread)
    weights = [1 / (1 + ((error - middle) / tolerated) ** 2) for error in errors]
    weighed = sum(weight * error for weight, error in zip(weights, errors, strict=True))
    return (weighed + PRIOR_RUNS * believed) / (sum(weights) + PRIOR_RUNS)


def choose_width(errors: Sequence[float], place: float, published: float) -> float:
    """Choose the log width at a place of ascending errors, between two of them where it lies between.

    To take the next larger error instead would make every width that of more than nine tenths: by a tenth and more
    where errors are few. Where that was needed, the level moves up with the first run that misses.
    """
    below = min(max(math.floor(place), 1), len(errors))
    above = min(below + 1, len(errors))
    lower, upper = (_find_supported_width(errors, whole, published) for whole in (below, above))
    return lower + min(max(place - below, 0.0), 1.0) * (upper - lower)


def _find_supported_width(errors: Sequence[float], place: int, published: float) -> float:
    """Find the log width at a place of ascending errors, as far as those from there on support it.

    One error that is alone beyond the published width gives that; each further one beside it doubles what is believed,
    so that no single run more than doubles a width.
    """
    largest_first = list(reversed(errors))
    supported = [
        min(error, published * 2.0 ** min(beside, 60))
        for beside, error in enumerate(largest_first)
        if beside >= len(errors) - place
    ]
    return max(0.0, *supported)
