"""Pairwise choice: few cases in which every two values of different factors come together at least once."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def choose_pairs(
    factors: Mapping[str, Sequence[Any]], is_possible: Callable[[Mapping[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Choose of the possible cases greedily: each takes the one with the most pairs that no case before it had.

    Of several such it takes the one whose values after the first factor have come together least often, so that these
    are mixed, and not always the same.
    """
    names = list(factors)
    every = (dict(zip(names, values, strict=True)) for values in itertools.product(*factors.values()))
    whole = [each for each in every if is_possible(each)]
    missing = set().union(*(_pairs_of(each) for each in whole))
    chosen: list[dict[str, Any]] = []
    mixed: Counter[tuple[Any, ...]] = Counter()
    while missing:
        best = max(whole, key=lambda case: (len(_pairs_of(case) & missing), -mixed[_mix_of(case)]))
        chosen.append(best)
        mixed[_mix_of(best)] += 1
        missing -= _pairs_of(best)
    return chosen


def _mix_of(case: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(case.values())[1:]


def _pairs_of(case: Mapping[str, Any]) -> set[tuple[tuple[str, Any], tuple[str, Any]]]:
    return set(itertools.combinations(case.items(), 2))
