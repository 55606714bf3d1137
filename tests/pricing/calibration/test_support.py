import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.calibration.support import choose_width, find_middle, limit_error, shrink_mean

LOGS = st.floats(-50, 50)


@given(error=LOGS, middle=LOGS, reach=st.floats(0.01, 5))
def test_an_error_counts_as_it_is_within_reach_and_less_and_less_beyond(error, middle, reach):
    limited = limit_error(error, middle, reach)
    assert abs(limited - middle) <= max(reach, 0) + 1e-9
    assert (limited - middle) * (error - middle) >= 0
    if abs(error - middle) <= reach:
        assert limited == error


@pytest.mark.parametrize(
    ("errors", "middle"), [([], 0.0), ([4.3], 0.0), ([4.3, 4.3], 0.0), ([1.0, 1.0, 1.0], 0.5), ([1.0] * 4, 1.0)]
)
def test_a_middle_moves_once_three_agree(errors, middle):
    assert find_middle(errors, 0.0) == middle


@given(errors=st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=30), odd=LOGS)
def test_one_odd_error_hardly_moves_a_mean(errors, odd):
    moved = shrink_mean([*errors, odd], 0.0, 0.3) - shrink_mean(errors, 0.0, 0.3)
    assert abs(moved) < 0.2


def test_errors_that_agree_move_a_mean_as_if_three_had_been_seen_before():
    assert shrink_mean([0.2] * 7, 0.0, 0.3) == pytest.approx(0.2 * 7 / 10)


@given(errors=st.lists(LOGS, min_size=9, max_size=40), odd=LOGS, published=st.floats(0.05, 2))
def test_one_error_at_most_doubles_a_width_beyond_the_published_one(errors, odd, published):
    def at_ninth_tenth(found):
        return choose_width(sorted(found), math.ceil((len(found) + 1) * 0.9) - (len(found) < 9), published)

    assert at_ninth_tenth([*errors, odd]) <= max(published, 2 * at_ninth_tenth(errors)) + 1e-9


def test_what_many_errors_support_is_taken_as_it_is():
    assert choose_width(sorted([0.05] * 30 + [4.0] * 10), 37, 0.3) == 4.0
    assert choose_width(sorted([0.05] * 30 + [4.0]), 31, 0.3) == 0.3
    assert choose_width([-0.2] * 9, 9, 0.3) == 0.0


def test_a_width_between_two_errors_lies_between_them():
    errors = [number / 100 for number in range(1, 11)]
    assert choose_width(errors, 9.0, 1.0) == pytest.approx(0.09)
    assert choose_width(errors, 9.9, 1.0) == pytest.approx(0.099)
    assert choose_width(errors, 10.8, 1.0) == choose_width(errors, 11.0, 1.0) == pytest.approx(0.1)
