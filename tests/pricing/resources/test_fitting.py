import math
import random

import pytest

from pricing.resources.fitting import Prior, fit_constants

PRIORS = {
    "seconds": Prior(1.0, 1.0, "a guess"),
    "rate": Prior(1.0, 1.0, "a guess"),
    "unused": Prior(7.0, 0.5, "a guess"),
}
SIZES = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0]


def measured(size, *, seconds=0.2, rate=40.0):
    return seconds + size / rate


def fit(measurements, near=None):
    def residuals(values):
        return [
            math.log(measured(size, seconds=values["seconds"], rate=values["rate"]) / taken)
            for size, taken in measurements
        ]

    return fit_constants(PRIORS, residuals, scale=0.02, near=near)


def test_constants_are_found_again():
    found = fit([(size, measured(size)) for size in SIZES])
    assert found["seconds"] == pytest.approx(0.2, rel=0.02)
    assert found["rate"] == pytest.approx(40.0, rel=0.02)


def test_where_a_fit_begins_changes_nothing_of_what_it_finds():
    taken = [(size, 1.3 * measured(size)) for size in SIZES]
    for near in ({"seconds": 0.3, "rate": 30.0, "unused": 7.0}, {"seconds": 2.0, "rate": 5.0, "unused": 1.0}):
        assert fit(taken, near) == pytest.approx(fit(taken), rel=1e-4)


def test_a_constant_that_nothing_depends_on_keeps_its_prior():
    assert fit([(size, measured(size)) for size in SIZES])["unused"] == pytest.approx(7.0)


def test_without_measurements_the_priors_stand():
    assert fit([]) == pytest.approx({name: prior.value for name, prior in PRIORS.items()})


def test_noise_leaves_the_constants_near():
    drawn = random.Random(3)
    noisy = [(size, measured(size) * math.exp(drawn.gauss(0, 0.02))) for size in SIZES * 5]
    found = fit(noisy)
    assert found["seconds"] == pytest.approx(0.2, rel=0.05)
    assert found["rate"] == pytest.approx(40.0, rel=0.05)


def test_one_odd_measurement_does_not_pull_the_fit_to_itself():
    clean = [(size, measured(size)) for size in SIZES * 2]
    found = fit([*clean, (300.0, 100 * measured(300.0))])
    assert found["rate"] == pytest.approx(40.0, rel=0.05)


def test_few_measurements_stay_near_the_prior():
    found = fit_constants(
        {"ratio": Prior(1.0, 0.1, "sure")}, lambda values: [math.log(values["ratio"] / 4.0)], scale=0.5
    )
    assert 1.0 < found["ratio"] < 1.2
