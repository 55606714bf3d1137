"""Optimizers by name, and what is said of those that are not there."""

import pytest
import torch

from pricing.training.config import TrainingConfig
from trainer.errors import BadInput
from trainer.training.evaluation import find_overfitting
from trainer.training.optimizers import advise_on_rate, create_optimizer, use_final_weights, use_training_weights


def make(name: str) -> torch.optim.Optimizer:
    config = TrainingConfig(base_model="m", optimizer=name, learning_rate=0.05)
    return create_optimizer(config, [torch.nn.Parameter(torch.ones(3))])


@pytest.mark.parametrize("name", ["adamw", "lion", "prodigy", "adafactor", "schedule-free"])
def test_every_optimizer_brings_a_parabola_down(name) -> None:
    optimizer = make(name)
    [parameter] = optimizer.param_groups[0]["params"]
    use_training_weights(optimizer)
    for _ in range(60):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    use_final_weights(optimizer)
    assert (parameter**2).sum().item() < 2.9


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("lion", "lion_pytorch", "lion-pytorch"),
        ("prodigy", "prodigyopt", "prodigyopt"),
        ("schedule-free", "schedulefree", "schedulefree"),
    ],
)
def test_a_package_that_is_not_installed_is_told_with_its_command(monkeypatch, name, module, package) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(BadInput, match=f"optimizer: .*pip install {package}"):
        make(name)


def test_eight_bit_adam_needs_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match="adamw8bit needs a GPU"):
        make("adamw8bit")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(BadInput, match="pip install bitsandbytes"):
        make("adamw8bit")


@pytest.mark.parametrize(
    ("losses", "is_overfitting"),
    [
        ([], False),
        ([2.0], False),
        ([2.0, 1.5, 1.4], False),
        ([2.0, 1.5, 1.51], False),
        ([2.0, 1.5, 1.51, 1.52], True),
        ([2.0, 1.5, 1.7], True),
        ([2.0, float("nan")], False),
    ],
)
def test_overfitting_is_a_rise_that_is_clear_or_goes_on(losses, is_overfitting) -> None:
    said = find_overfitting(losses)
    assert (said is not None) is is_overfitting
    if said:
        assert "best 1.5000 after epoch 2" in said


def test_prodigy_has_the_learning_rate_one_unless_it_is_told_another() -> None:
    assert TrainingConfig(base_model="m", optimizer="prodigy").learning_rate == 1.0
    assert TrainingConfig(base_model="m", optimizer="prodigy", learning_rate=0.5).learning_rate == 0.5
    assert TrainingConfig(base_model="m").learning_rate == 2e-4


@pytest.mark.parametrize(
    ("optimizer", "rate", "is_told"), [("prodigy", 2e-4, True), ("prodigy", 0.5, False), ("adamw", 2e-4, False)]
)
def test_a_tiny_rate_for_prodigy_is_told_with_its_cure(optimizer, rate, is_told) -> None:
    said = advise_on_rate(TrainingConfig(base_model="m", optimizer=optimizer, learning_rate=rate))
    assert (said is not None) is is_told
    if said:
        assert said.startswith("learning_rate: 0.0002")
        assert "leave the key out" in said
