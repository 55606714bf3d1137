import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.catalog import get_base_model, get_gpu
from pricing.estimate.calibration import Calibration
from pricing.estimate.duration import count_training_flops, estimate_gpu_seconds
from pricing.estimate.workload import Workload

CPU = get_gpu("cpu")
SMOLLM2 = get_base_model("smollm2-135m-instruct")
STEP = Workload(rows=2, steps=1, tokens=512, padded_tokens=512, longest_row=256)


def many_steps(count):
    return Workload(rows=2, steps=count, tokens=512 * count, padded_tokens=512 * count, longest_row=256)


def test_the_flops_of_one_step_by_hand():
    assert count_training_flops(STEP, SMOLLM2) == 512 * (4 * 134_515_008 + 12 * 30 * 576 * 256)


def test_a_step_on_the_cpu_takes_what_was_measured():
    steps = 1000
    start_up = estimate_gpu_seconds(many_steps(0), SMOLLM2, CPU).p50
    seconds_per_step = (estimate_gpu_seconds(many_steps(steps), SMOLLM2, CPU).p50 - start_up) / steps
    assert 1.5 <= seconds_per_step <= 2.5


def test_padding_is_computed_though_it_is_not_billed():
    padded = Workload(rows=2, steps=1000, tokens=256_000, padded_tokens=512_000, longest_row=256)
    assert estimate_gpu_seconds(padded, SMOLLM2, CPU) == estimate_gpu_seconds(many_steps(1000), SMOLLM2, CPU)


def test_a_faster_gpu_takes_less():
    assert (
        estimate_gpu_seconds(many_steps(1000), SMOLLM2, get_gpu("rtx-3090")).p50
        < estimate_gpu_seconds(many_steps(1000), SMOLLM2, CPU).p50
    )


def test_a_calibration_scales_the_estimate_and_sets_its_spread():
    plain = estimate_gpu_seconds(many_steps(5000), SMOLLM2, CPU)
    learnt = estimate_gpu_seconds(
        many_steps(5000), SMOLLM2, CPU, calibration=Calibration(ratio=2.0, spread=0.1, observations=9)
    )
    assert learnt.p50 == pytest.approx(2 * plain.p50, abs=2)
    assert learnt.p90 / learnt.p50 == pytest.approx(math.exp(0.12816), rel=1e-3)


def test_without_calibration_p90_is_wide():
    plain = estimate_gpu_seconds(many_steps(5000), SMOLLM2, CPU)
    assert plain.p90 / plain.p50 == pytest.approx(math.exp(0.6408), rel=1e-3)


@given(st.integers(1, 10**9), st.floats(1e-9, 1e3), st.floats(0, 3))
def test_estimates_are_whole_ordered_and_at_least_a_second(padded_tokens, ratio, spread):
    workload = Workload(rows=1, steps=1, tokens=1, padded_tokens=padded_tokens, longest_row=8)
    estimate = estimate_gpu_seconds(workload, SMOLLM2, CPU, calibration=Calibration(ratio, spread))
    assert isinstance(estimate.p50, int)
    assert isinstance(estimate.p90, int)
    assert 1 <= estimate.p50 <= estimate.p90
