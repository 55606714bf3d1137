"""liger-kernel's norm, gate and loss, beside the model's own and ours: answers and gradients."""

from collections.abc import Callable

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from trainer.kernels.fused_layers import fuse_gate_by_liger, fuse_norm, fuse_norm_by_liger
from trainer.kernels.head_loss import sum_by_liger, sum_by_positions, sum_by_vocabulary
from trainer.kernels.trial import compare

pytestmark = [pytest.mark.usefixtures("interpreter"), pytest.mark.slow]  # it interprets kernels, row by row

FORMATS = [(torch.float32, 2e-6), (torch.float16, 2e-3)]
Compute = Callable[[torch.Tensor], torch.Tensor]


def assert_same(fused: Compute, own: Compute, states: torch.Tensor, off: float) -> None:
    ours, theirs = (differentiate(compute, states) for compute in (fused, own))
    assert max(compare(*pair) for pair in zip(ours, theirs, strict=True)) <= off


def differentiate(compute: Compute, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the answer, and the gradient of it under weights of its own, by a copy: a kernel may write into it."""
    given = states.clone().requires_grad_()
    answer = compute(given)
    weights = torch.randn(answer.shape, generator=torch.Generator().manual_seed(2)).to(answer.dtype)
    return answer.detach().clone(), torch.autograd.grad(answer, given, weights)[0]


@pytest.mark.parametrize(("dtype", "off"), FORMATS)
@pytest.mark.parametrize("width", [64, 100])
def test_a_norm_answers_as_the_models_own_and_as_torchs(width, dtype, off) -> None:
    torch.manual_seed(0)
    norm = LlamaRMSNorm(width, eps=1e-5).to(dtype).requires_grad_(requires_grad=False)
    torch.nn.init.normal_(norm.weight)
    states = torch.randn(2, 12, width, dtype=dtype)
    assert_same(fuse_norm_by_liger(norm), norm.forward, states, off)
    assert_same(fuse_norm_by_liger(norm), fuse_norm(norm), states, off)


@pytest.mark.parametrize(("dtype", "off"), FORMATS)
def test_a_gate_answers_as_the_models_own(dtype, off) -> None:
    torch.manual_seed(0)
    mlp = LlamaMLP(LlamaConfig(hidden_size=64, intermediate_size=100)).to(dtype).requires_grad_(requires_grad=False)
    assert_same(fuse_gate_by_liger(mlp), mlp.forward, torch.randn(1, 12, 64, dtype=dtype), off)


@pytest.mark.parametrize(("dtype", "off"), FORMATS)
@pytest.mark.parametrize("vocabulary", [64, 300])
def test_the_loss_is_ours(vocabulary, dtype, off) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(24, 64, dtype=dtype), torch.randn(vocabulary, 64, dtype=dtype)
    targets = torch.randint(vocabulary, (24,))

    def mean(sum_loss: Callable[..., torch.Tensor]) -> Compute:
        return lambda states: sum_loss(states, weight, targets) / 24

    for ours in (sum_by_positions, sum_by_vocabulary):
        assert_same(mean(sum_by_liger), mean(ours), hidden, off)
