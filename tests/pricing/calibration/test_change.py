import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.calibration.change import FEWEST_BESIDE, find_changes, measure_change
from tests.properties import examples

LOGS = st.floats(-50, 50)


def drawn(count, *, seed, tail=False, level=0.0):
    chance = random.Random(seed)
    return [level + chance.gauss(0, 0.1) / (max(chance.random(), 1e-3) if tail else 1) for _ in range(count)]


@pytest.mark.parametrize("tail", [False, True])
def test_runs_that_are_alike_are_cut_in_no_more_than_one_of_a_hundred_histories(tail):
    """Each history is looked at after each of its runs, as a broker does; one of a thousand is cut."""
    cut = 0
    for seed in range(40):
        errors = drawn(200, seed=seed, tail=tail)
        cut += bool(find_changes(errors))
    assert cut <= 1


@examples(20)
@given(before=st.integers(20, 100), after=st.integers(6, 100), by=st.sampled_from([-0.7, 0.7, 3.0]))
def test_a_change_is_found_where_it_was(before, after, by):
    errors = [*drawn(before, seed=before), *drawn(after, seed=-after, level=by)]
    places = find_changes(errors)
    assert abs(places[-1] - before) <= 8, "runs just before it that were slow by chance may be taken for its first"
    assert measure_change(errors, places) == pytest.approx(math.exp(by), rel=0.2)


def test_back_again_is_a_change():
    errors = [*drawn(30, seed=1), *drawn(30, seed=2, level=1.0), *drawn(30, seed=3)]
    assert find_changes(errors) == [30, 60]
    assert measure_change(errors, [30, 60]) == pytest.approx(math.exp(-1.0), rel=0.1)


@given(runs=st.integers(0, 100), odd=LOGS, place=st.integers(0, 100), count=st.integers(1, FEWEST_BESIDE - 2))
def test_one_straggler_or_three_in_a_row_cut_nothing(runs, odd, place, count):
    usual = drawn(runs, seed=0)
    assert find_changes([*usual[:place], *[odd] * count, *usual[place:]]) == []


@given(errors=st.lists(LOGS, max_size=9))
def test_with_fewer_than_five_on_either_side_nothing_is_cut(errors):
    assert find_changes(errors) == []


@examples(15)
@given(runs=st.integers(10, 200), by=st.floats(-3, 3))
def test_runs_that_alternate_are_no_change(runs, by):
    assert find_changes([by * (at % 2) for at in range(runs)]) == []


def test_a_change_by_less_than_a_tenth_is_left_to_the_means():
    assert find_changes([*drawn(100, seed=1)] + [0.09 + error for error in drawn(100, seed=2)]) == []


@given(errors=st.lists(LOGS, max_size=80))
def test_whatever_the_errors_are_at_least_five_are_left(errors):
    ends = [0, *find_changes(errors), len(errors)]
    assert len(ends) == 2 or all(later - before >= FEWEST_BESIDE for before, later in pairwise(ends))
