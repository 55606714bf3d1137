"""Adapters in the base's own number format, beside peft's."""

import pytest
import torch
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from trainer.base_models.transformers_quiet import peft
from trainer.kernels.narrow_adapter import _AdaptedLinear, _AdapterOnto, is_plain_lora, narrow, use_narrow_adapters
from trainer.machine.accelerator import AMPERE_GPU


class Twice(torch.nn.Module):
    def __init__(self, *, bias: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = torch.nn.Linear(12, 16, bias=bias, dtype=dtype)
        self.second = torch.nn.Linear(16, 12, bias=bias, dtype=dtype)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(states)))


def make(dtype=torch.bfloat16, *, bias=True, **keys):
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["first", "second"], **keys)
    model = peft.get_peft_model(Twice(bias=bias, dtype=dtype), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model, [layer for layer in model.modules() if is_plain_lora(layer)]


def differentiate(model, states):
    model.zero_grad()
    into = states.clone().requires_grad_()
    answer = model(into)
    answer.float().square().sum().backward()
    return [answer.detach(), into.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


def differentiate_with_checkpoint(model, states):
    model.zero_grad()
    into = states.clone().requires_grad_()
    answer = checkpoint(model, into, use_reentrant=False)
    answer.float().square().sum().backward()
    return [answer.detach(), into.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
@pytest.mark.parametrize("bias", [True, False])
def test_answer_and_gradients_are_pefts(dtype, off, bias) -> None:
    model, layers = make(dtype, bias=bias)
    states = torch.randn(2, 5, 12, dtype=dtype)
    expected = differentiate(model, states)
    for layer in layers:
        narrow(layer)
    for ours, theirs in zip(differentiate(model, states), expected, strict=True):
        assert ours.dtype is theirs.dtype
        assert (ours - theirs).abs().max() <= off * theirs.abs().max()


def test_the_formulas_are_exact() -> None:
    torch.manual_seed(0)
    states, weight, bias = (torch.randn(*size, dtype=torch.double) for size in ((3, 5), (4, 5), (4,)))
    down, up = (torch.randn(*size, dtype=torch.double, requires_grad=True) for size in ((2, 5), (4, 2)))
    states.requires_grad_()
    assert torch.autograd.gradcheck(_AdaptedLinear.apply, (states, weight, bias, down, up, 1.5))
    answer = linear(states.detach(), weight).requires_grad_()
    assert torch.autograd.gradcheck(_AdapterOnto.apply, (answer, states, down, up, 1.5))


def test_computed_twice_the_gradients_are_the_same() -> None:
    model, layers = make()
    for layer in layers:
        narrow(layer)
    states = torch.randn(2, 5, 12, dtype=torch.bfloat16)
    expected = differentiate(model, states)
    again = differentiate_with_checkpoint(model, states)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(again, expected, strict=True))


def test_what_is_no_plain_lora_stays_as_peft_made_it() -> None:
    assert not make(lora_dropout=0.1)[1]
    assert not make(use_dora=True)[1]
    assert len(make()[1]) == 2


def test_switched_off_the_base_answers_alone() -> None:
    model, layers = make()
    states = torch.randn(2, 12, dtype=torch.bfloat16)
    with model.disable_adapter():
        base = model(states)
    for layer in layers:
        narrow(layer)
    with model.disable_adapter():
        assert torch.equal(model(states), base)
    assert not torch.equal(model(states), base)


def test_a_gpu_narrows_and_a_cpu_does_not(monkeypatch) -> None:
    monkeypatch.setattr("trainer.machine.accelerator.TRACED", AMPERE_GPU)
    model, _ = make()
    assert not use_narrow_adapters(model, torch.device("cpu"), torch.bfloat16)
    assert not use_narrow_adapters(model, torch.device("meta"), torch.float32)
    assert use_narrow_adapters(model, torch.device("meta"), torch.bfloat16)


def test_no_copy_of_the_input_is_kept() -> None:
    """Peft keeps the input of each layer in 32 bit; here both adapters of one input keep the input itself."""
    kept = []
    model, layers = make()
    for layer in layers:
        narrow(layer)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        model(torch.randn(2, 12, dtype=torch.bfloat16))
    assert not [tensor for tensor in kept if tensor.dtype is torch.float32 and tensor.shape[0] == 2]
