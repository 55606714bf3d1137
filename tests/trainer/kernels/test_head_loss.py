"""The loss, part of the vocabulary by part, against torch's own."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from pricing.training.config import TrainingConfig
from trainer.families.text.causal_lm import CausalLM
from trainer.kernels.head_loss import _agrees_with_ours, find_plain_head, sum_by_positions, sum_head_loss


@pytest.mark.parametrize("positions", [0, 1, 16, 19])
@pytest.mark.parametrize("multiple_of", [1, 16], ids=["as it is", "filled up"])
@pytest.mark.parametrize("size", [1, 9, 50], ids=["token by token", "uneven parts", "in one part"])
def test_loss_and_gradient_are_those_of_torch(monkeypatch, multiple_of, positions, size) -> None:
    monkeypatch.setattr("trainer.kernels.even_sizes.MULTIPLE_OF", multiple_of)
    monkeypatch.setattr("trainer.kernels.head_loss.LOGITS", 1)
    monkeypatch.setattr("trainer.kernels.head_loss.LEAST_PART", size)
    torch.manual_seed(0)
    weight, targets = torch.randn(50, 8), torch.randint(0, 50, (positions,))
    hidden = torch.randn(positions, 8, requires_grad=True)
    twin = hidden.detach().clone().requires_grad_()
    ours = sum_head_loss(hidden, weight, targets) / 3
    theirs = cross_entropy(twin @ weight.T, targets, reduction="sum") / 3
    ours.backward()
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(hidden.grad, twin.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("positions", [0, 1, 7])
@pytest.mark.parametrize("logits", [1, 100, 10_000], ids=["one by one", "two at once", "all at once"])
def test_by_positions_loss_and_gradient_are_those_of_torch(monkeypatch, positions, logits) -> None:
    monkeypatch.setattr("trainer.kernels.head_loss.LOGITS_ON_A_GPU", logits)
    torch.manual_seed(0)
    weight, targets = torch.randn(50, 8), torch.randint(0, 50, (positions,))
    hidden = torch.randn(positions, 8, requires_grad=True)
    twin = hidden.detach().clone().requires_grad_()
    ours = sum_by_positions(hidden, weight, targets) / 3
    theirs = cross_entropy(twin @ weight.T, targets, reduction="sum") / 3
    ours.backward()
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(hidden.grad, twin.grad, rtol=1e-4, atol=1e-6)


def test_a_library_that_is_not_there_is_not_taken(capsys) -> None:
    assert not _agrees_with_ours(torch.device("cpu"), torch.float32)
    assert "liger-kernel's loss fails here (ModuleNotFoundError" in capsys.readouterr().out


def test_a_hopeless_guess_is_dear_but_finite() -> None:
    hidden, weight = torch.tensor([[1e4]]), torch.tensor([[1.0], [-1.0]])
    assert sum_head_loss(hidden, weight, torch.tensor([1])).item() == pytest.approx(2e4)


def test_half_precision_sums_in_full_precision() -> None:
    hidden = torch.randn(5, 8, dtype=torch.bfloat16, requires_grad=True)
    loss = sum_head_loss(hidden, torch.randn(50, 8, dtype=torch.bfloat16), torch.arange(5))
    loss.backward()
    assert (loss.dtype, hidden.grad.dtype) == (torch.float32, torch.bfloat16)


def test_a_head_that_is_adapted_or_reworked_is_left_to_the_model(tiny_source) -> None:
    family = CausalLM.load(tiny_source)
    assert find_plain_head(family.model) is not None
    family.model.config.logits_scaling = 8.0
    assert find_plain_head(family.model) is None
    family = CausalLM.load(tiny_source)
    family.attach_adapter(TrainingConfig(base_model="tiny", target_modules=("q_proj", "lm_head")))
    assert find_plain_head(family.model.get_base_model()) is None
