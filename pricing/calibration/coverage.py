"""Coverage: the share of runs that stayed at or below a quantile, how sure that is, and the band for p90. Pure."""

import math
from dataclasses import dataclass
from enum import StrEnum

Z_95 = 1.959964
P90_BAND = (0.85, 0.95)
FEWEST_JUDGED = 20


@dataclass(frozen=True)
class Coverage:
    """A share of `runs`, with the interval in which the true share lies in 95 % of cases."""

    share: float
    lower: float
    upper: float


class BandState(StrEnum):
    """Where the coverage of p90 stands. Below: too many runs took longer; above: intervals are wider than need be."""

    UNJUDGED = "unjudged"
    BELOW = "below"
    WITHIN = "within"
    ABOVE = "above"


def measure_coverage(covered: int, runs: int) -> Coverage:
    """Measure which share of the runs was covered, and how sure that share is. Raises: ValueError without runs.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference": it stays within 0 and
    1, and is honest for few runs.
    """
    if not 0 <= covered <= runs or runs == 0:
        raise ValueError(f"{covered} of {runs} runs is no share")
    share, spread = covered / runs, Z_95**2 / runs
    middle = share + spread / 2
    half = math.sqrt(spread * share * (1 - share) + spread**2 / 4)
    return Coverage(
        share,
        lower=max(0.0, min(share, (middle - half) / (1 + spread))),
        upper=min(1.0, max(share, (middle + half) / (1 + spread))),
    )


def judge_band(share: float, runs: int) -> BandState:
    """Judge a share against the band; fewer than 20 runs say nothing, as one more or less would decide."""
    if runs < FEWEST_JUDGED:
        return BandState.UNJUDGED
    lower, upper = P90_BAND
    if share < lower:
        return BandState.BELOW
    return BandState.ABOVE if share > upper else BandState.WITHIN
