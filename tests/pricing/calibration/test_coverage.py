"""Coverage with Wilson's interval, and the band of p90."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.calibration.coverage import BandState, judge_band, measure_coverage


@st.composite
def counts(draw):
    runs = draw(st.integers(1, 5000))
    return draw(st.integers(0, runs)), runs


def test_nine_of_ten_are_what_wilson_s_formula_gives_by_hand():
    """Expect with z²/n = 0.384146: (0.9 + 0.192073 ± √(0.384146 · 0.09 + 0.384146² / 4)) / 1.384146."""
    found = measure_coverage(9, 10)
    assert found.share == 0.9
    assert found.lower == pytest.approx(0.595850, abs=1e-5)
    assert found.upper == pytest.approx(0.982124, abs=1e-5)


@pytest.mark.parametrize(("covered", "lower", "upper"), [(0, 0.0, 0.277533), (10, 0.722467, 1.0)])
def test_none_and_all_of_ten_still_have_a_wide_interval(covered, lower, upper):
    """Expect z² / (10 + z²) = 0.277533."""
    found = measure_coverage(covered, 10)
    assert (found.lower, found.upper) == (pytest.approx(lower, abs=1e-6), pytest.approx(upper, abs=1e-6))


@given(counts())
def test_interval_holds_the_share_and_stays_within_nought_and_one(drawn):
    found = measure_coverage(*drawn)
    assert 0 <= found.lower <= found.share <= found.upper <= 1
    assert found.lower < found.upper


@given(counts())
def test_interval_of_the_rest_is_its_mirror(drawn):
    covered, runs = drawn
    found, rest = measure_coverage(covered, runs), measure_coverage(runs - covered, runs)
    assert found.lower == pytest.approx(1 - rest.upper, abs=1e-9)
    assert found.upper == pytest.approx(1 - rest.lower, abs=1e-9)


@given(counts(), st.integers(2, 20))
def test_more_runs_of_the_same_share_make_it_narrower(drawn, times):
    covered, runs = drawn
    few, many = measure_coverage(covered, runs), measure_coverage(covered * times, runs * times)
    assert many.upper - many.lower < few.upper - few.lower


@pytest.mark.parametrize(("covered", "runs"), [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(covered, runs):
    with pytest.raises(ValueError, match="no share"):
        measure_coverage(covered, runs)


@pytest.mark.parametrize(
    ("covered", "runs", "state"),
    [
        (0, 19, BandState.UNJUDGED),
        (16, 20, BandState.BELOW),
        (17, 20, BandState.WITHIN),
        (19, 20, BandState.WITHIN),
        (20, 20, BandState.ABOVE),
        (95, 100, BandState.WITHIN),
        (96, 100, BandState.ABOVE),
    ],
)
def test_band_includes_its_ends_and_needs_twenty_runs(covered, runs, state):
    assert judge_band(covered / runs, runs) is state
