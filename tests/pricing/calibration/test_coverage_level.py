"""The level of p90 against runs that keep it and runs that do not."""

import random

import pytest

from pricing.calibration.coverage_level import HIGHEST, LOWEST, WANTED, follow_coverage


def test_without_runs_it_is_what_is_wanted():
    assert follow_coverage([]) == WANTED


def test_a_miss_lifts_it_by_as_much_as_nine_kept_ones_lower_it():
    assert follow_coverage([False]) == pytest.approx(0.99)
    assert follow_coverage([True] * 9 + [False]) == pytest.approx(WANTED)


def test_it_stays_within_its_bounds():
    assert follow_coverage([False] * 100) == HIGHEST
    assert follow_coverage([True] * 1000) == LOWEST


@pytest.mark.parametrize("inflation", [0.93, 1.0, 1.3], ids=["too narrow", "right", "too wide"])
def test_nine_of_ten_are_kept_whatever_the_quantiles_are_like(inflation):
    """Draw errors uniformly on 0..1, so that the right quantile of a level is the level; ours is off by a factor."""
    drawn, kept = random.Random(1), []
    for _ in range(400):
        level = follow_coverage(kept)
        kept.append(drawn.random() <= level * inflation)
    assert 0.85 <= sum(kept[50:]) / len(kept[50:]) <= 0.95
