"""Whether a card changed among its runs: a driver, a power limit or a neighbour that stays. Pure.

A straggler or a wide spread is no change; runs that from one of them on all lie elsewhere are. What came before tells
nothing of the next run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

# Runs that have to lie elsewhere one after another, and before them, for a change to be looked for.
FEWEST_BESIDE = 5
# A change is found before so many runs have followed it, or left to the means.
LATEST = 60
# How improbable a split must be of runs that are all alike. A history is looked at after each of its runs and at each
# of its places; so fewer than one of a hundred histories of 200 runs that are all alike is ever cut (measured).
IMPROBABLE = 1e-5
# A smaller change is left to the means: it moves a price less than what would be forgotten for it.
SMALLEST = math.log(1.1)


@dataclass(frozen=True)
class Change:
    """A change of a GPU type that was found: it takes `factor` times as long since a run, `runs` of which have ended.

    `since` is when the first of those ended, in ISO 8601; empty where that was not said.
    """

    factor: float
    runs: int
    since: str = ""


def find_changes(errors: Sequence[float]) -> list[int]:
    """Find the places of log errors, in the order of finishing, where a change began.

    They are looked for after each run, since the last change: what was found stays found, and back again is a change.
    """
    places: list[int] = []
    start = 0
    for end in range(2 * FEWEST_BESIDE, len(errors) + 1):
        split = _find_change(errors[start:end])
        if split:
            start += split
            places.append(start)
    return places


def measure_change(errors: Sequence[float], places: Sequence[int]) -> float:
    """Measure by which factor the last change moved what runs take: between the medians after and before it."""
    before = places[-2] if len(places) > 1 else 0
    return math.exp(median(errors[places[-1] :]) - median(errors[before : places[-1]]))


def _find_change(errors: Sequence[float]) -> int:
    """Find the most improbable split of errors that are alike, where it is improbable and large enough; else 0.

    Source: Fisher's exact test, of how many of the last m errors are among the m largest (or smallest) of all: exact
    for errors in any order and of any distribution, so that none is too far off. Of equal ones the earlier count first.
    """
    total = len(errors)
    largest_first = sorted(range(total), key=lambda place: (-errors[place], place))
    smallest_first = sorted(range(total), key=lambda place: (errors[place], place))
    best, split = math.log(IMPROBABLE / 2), 0
    for place in range(max(FEWEST_BESIDE, total - LATEST), total - FEWEST_BESIDE + 1):
        last = total - place
        common = max(sum(at >= place for at in order[:last]) for order in (largest_first, smallest_first))
        if _log_chance(common, last, total) >= best:
            continue
        found = _log_tail(common, last, total)
        if found < best and abs(median(errors[place:]) - median(errors[:place])) >= SMALLEST:
            best, split = found, place
    return split


def _log_tail(common: int, drawn: int, total: int) -> float:
    """Compute the log of the chance that two draws of as many out of a total have so many or more in common."""
    logs = [_log_chance(both, drawn, total) for both in range(common, drawn + 1)]
    return max(logs) + math.log(sum(math.exp(log - max(logs)) for log in logs))


@lru_cache(maxsize=2**15)
def _log_chance(common: int, drawn: int, total: int) -> float:
    """Compute the log of the chance that two draws of as many out of a total have just so many in common."""
    if common < 2 * drawn - total:
        return -math.inf
    chosen = _log_choices(drawn, common) + _log_choices(total - drawn, drawn - common)
    return chosen - _log_choices(total, drawn)


def _log_choices(of: int, some: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)
