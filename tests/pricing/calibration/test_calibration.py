import math

import pytest

from pricing.calibration.calibration import Calibration
from pricing.calibration.learning import FinishedRun, learn_calibration
from pricing.resources.shipped_constants import load_device_constants, load_log_spread
from tests.pricing.calibration.test_learning import GPU, KIND, work_of

PICTURES = KIND._replace(family="stable_diffusion")


def test_without_runs_the_interval_is_that_of_published_figures():
    interval = Calibration().estimate(KIND, work_of(1000), GPU)
    assert interval.runs == 0
    assert interval.p90 / interval.p50 == pytest.approx(math.exp(1.2816 * load_log_spread(KIND.family)))


def test_pictures_are_wider_than_text_without_runs():
    text, pictures = (Calibration().estimate(kind, work_of(1000), GPU) for kind in (KIND, PICTURES))
    assert pictures.p90 / pictures.p50 > text.p90 / text.p50


def test_a_calibration_of_before_has_the_shipped_value_of_a_constant_that_is_new():
    """Fault to guard: every version is kept, and a quote names the one that it was made with."""
    written = learn_calibration([FinishedRun(KIND, work_of(100), 60.0)], {GPU.sku: GPU}, version="1").to_json()
    del written["constants"][GPU.sku]["steps"]["checked_memory"]
    read = Calibration.from_json(written).get_constants(GPU.sku)
    assert read.steps.checked_memory == load_device_constants().steps.checked_memory
