import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.estimate.calibration import Calibration, Observation, fit_calibration

SECONDS = st.floats(1, 1e6)


def runs(ratio, count):
    return [Observation(100.0, 100.0 * ratio)] * count


def test_without_observations_the_prior_stands():
    assert fit_calibration([]) == Calibration(ratio=1.0, spread=0.5, observations=0)


def test_five_runs_weigh_as_much_as_the_prior():
    assert fit_calibration(runs(4.0, 5)).ratio == pytest.approx(2.0)


def test_many_runs_overrule_the_prior():
    calibration = fit_calibration(runs(4.0, 2000))
    assert calibration.ratio == pytest.approx(4.0, rel=0.01)
    assert calibration.spread < 0.05
    assert calibration.observations == 2000


def test_one_odd_run_moves_the_ratio_little_and_widens_the_spread():
    steady = fit_calibration(runs(1.0, 20))
    odd = fit_calibration([*runs(1.0, 19), Observation(1.0, 1000.0)])
    assert odd.ratio == pytest.approx(steady.ratio)
    assert odd.spread > 2 * steady.spread


@given(st.lists(st.builds(Observation, SECONDS, SECONDS), min_size=1, max_size=30))
def test_the_ratio_lies_between_the_prior_and_the_extremes(observations):
    ratios = [observation.actual_seconds / observation.predicted_seconds for observation in observations]
    calibration = fit_calibration(observations)
    assert min(1.0, *ratios) * 0.999 <= calibration.ratio <= max(1.0, *ratios) * 1.001
    assert calibration.spread > 0


def test_slow_and_fast_are_symmetric():
    slow, fast = fit_calibration(runs(3.0, 4)), fit_calibration(runs(1 / 3, 4))
    assert math.isclose(slow.ratio, 1 / fast.ratio)
    assert math.isclose(slow.spread, fast.spread)


@pytest.mark.parametrize("seconds", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_seconds_that_are_not_positive_are_refused(seconds):
    with pytest.raises(ValueError, match="positive"):
        fit_calibration([Observation(*seconds)])
