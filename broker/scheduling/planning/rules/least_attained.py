"""The discipline `least-attained-service`: who has had the fewest GPU-seconds goes first, run times unasked. Pure.

Service is counted in levels, each first come first served, so that equal jobs do not take turns without end.
Source: Gu et al.: Tiresias, NSDI 2019 (discretized two-dimensional least attained service).
"""

from bisect import bisect_right
from collections.abc import Sequence

# GPU-seconds at which a job falls to the next level: one, ten and a hundred GPU-hours.
DEFAULT_LEVELS = (3_600.0, 36_000.0, 360_000.0)
# GPU-seconds: what is added up of many runs reaches a level but for its last digits.
TOLERANCE = 1e-3


def find_level(attained: float, levels: Sequence[float]) -> int:
    """Find the level of a job that has had so many GPU-seconds; 0 goes first. `levels` ascend."""
    return bisect_right(levels, attained + TOLERANCE)


def find_seconds_to_next_level(attained: float, gpus: int, levels: Sequence[float]) -> float | None:
    """Find how many seconds of running take a job to the next level; None on the last."""
    level = find_level(attained, levels)
    return (levels[level] - attained) / gpus if level < len(levels) else None
