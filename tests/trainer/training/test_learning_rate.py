"""The course of the learning rate."""

import pytest

from pricing.training.config import TrainingConfig
from trainer.training.learning_rate import compute_learning_rate


def course(scheduler: str, total: int = 10, warmup: int = 0) -> list[float]:
    config = TrainingConfig(base_model="x", learning_rate=1.0, lr_scheduler=scheduler, warmup_steps=warmup)
    return [compute_learning_rate(config, step, total) for step in range(total)]


def test_constant_linear_and_cosine_begin_at_the_peak() -> None:
    assert course("constant") == [1.0] * 10
    assert course("linear") == pytest.approx([1 - step / 10 for step in range(10)])
    cosine = course("cosine")
    assert (cosine[0], cosine[5]) == (1.0, pytest.approx(0.5))
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[-1] > 0


def test_warm_up_rises_evenly_and_never_is_zero() -> None:
    assert course("linear", warmup=3)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_a_warm_up_longer_than_the_run_stays_below_the_peak() -> None:
    assert max(course("cosine", total=4, warmup=10)) < 1.0
