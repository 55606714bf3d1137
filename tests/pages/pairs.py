"""Pairwise choice: few cases in which every two values of different factors come together at least once."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any


def choose_pairs(factors: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Choose cases greedily: each takes, of all, the one with the most pairs that no case before it had."""
    names = list(factors)
    whole = [dict(zip(names, values, strict=True)) for values in itertools.product(*factors.values())]
    missing = set().union(*(_pairs_of(each) for each in whole))
    chosen: list[dict[str, Any]] = []
    while missing:
        best = max(whole, key=lambda case: len(_pairs_of(case) & missing))
        chosen.append(best)
        missing -= _pairs_of(best)
    return chosen


def _pairs_of(case: Mapping[str, Any]) -> set[tuple[tuple[str, Any], tuple[str, Any]]]:
    return set(itertools.combinations(case.items(), 2))
