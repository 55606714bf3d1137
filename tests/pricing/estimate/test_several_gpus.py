"""A run on several GPUs of one machine: each has its share of every step's micro-batches."""

import pytest

from pricing.calibration.calibration import Calibration
from pricing.catalog import get_base_model, get_gpu
from pricing.estimate.run_estimate import estimate_run
from pricing.estimate.several_gpus import share_step, spread_run
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload

CONFIG = TrainingConfig(base_model="m", batch_size=4, gradient_accumulation=4, epochs=30)


def estimate(gpus, config=CONFIG):
    shared = share_step(config, gpus)
    gpu, profile = get_gpu("a100-80g"), get_base_model("llama-2-7b")
    workload = plan_text_workload([400] * 320, shared)
    run = estimate_run(profile, shared, workload, gpu, Calibration(), trainer_version="1")
    return run, spread_run(run, shared, gpu, Calibration(), gpus)


@pytest.mark.parametrize(
    ("gpus", "batch", "accumulation"), [(1, 4, 4), (2, 4, 4), (4, 4, 4), (8, 2, 8), (16, 1, 16), (32, 1, 16)]
)
def test_a_step_keeps_its_rows_and_gives_every_device_one(gpus, batch, accumulation):
    shared = share_step(CONFIG, gpus)
    assert (shared.batch_size, shared.gradient_accumulation) == (batch, accumulation)
    assert shared.rows_per_step == CONFIG.rows_per_step


def test_one_gpu_is_the_run_as_it_is():
    run, spread = estimate(1)
    assert spread == run


@pytest.mark.parametrize("gpus", [2, 4])
def test_several_end_sooner_and_cost_a_little_more(gpus):
    run, spread = estimate(gpus)
    assert spread.work.micro_batches == pytest.approx(run.work.micro_batches / gpus)
    assert spread.gpu_seconds.p50 % gpus == 0
    assert run.gpu_seconds.p50 / gpus < spread.gpu_seconds.p50 / gpus < run.gpu_seconds.p50
    assert run.gpu_seconds.p50 < spread.gpu_seconds.p50 < 1.5 * run.gpu_seconds.p50


def test_devices_that_a_step_leaves_idle_are_held_all_the_same():
    _run, three = estimate(3)
    _run, four = estimate(4)
    assert three.work.micro_batches == pytest.approx(2 * four.work.micro_batches)
