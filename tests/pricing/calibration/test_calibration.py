import math

import pytest

from pricing.calibration.calibration import Calibration
from pricing.resources.shipped_constants import load_log_spread
from tests.pricing.calibration.test_learning import GPU, KIND, work_of


def test_without_runs_the_interval_is_that_of_published_figures():
    interval = Calibration().estimate(KIND, work_of(1000), GPU)
    assert interval.runs == 0
    assert interval.p90 / interval.p50 == pytest.approx(math.exp(1.2816 * load_log_spread()))
