"""The level that p90 is drawn at: moved by every run, so that nine of ten keep it whatever the runs are like. Pure.

Conformal quantiles promise their coverage for runs that are all alike. A machine under load, a new driver or errors
that the estimator has outgrown make them too narrow or too wide for a long time; the level makes up for it.
"""

from collections.abc import Iterable

WANTED = 0.9
# A miss moves the level by 0.09 up, a run within its p90 by 0.01 down: ten in a row make about as much as one miss. So
# within the twenty runs that coverage is judged by it has followed what these are like.
STEP = 0.1
LOWEST, HIGHEST = 0.5, 1.0


def follow_coverage(kept: Iterable[bool]) -> float:
    """Follow the level over runs that kept their p90 or did not, in the order in which they ended.

    Source: Gibbs and Candès 2021, "Adaptive Conformal Inference Under Distribution Shift", equation 2.
    """
    level = WANTED
    for is_kept in kept:
        level = min(max(level + STEP * (WANTED - is_kept), LOWEST), HIGHEST)
    return level
