"""LoRA in the base's 16 bit, without a copy of its input: the products of an adapter go into the base's own answer.

peft turns the input of every adapted layer into 32 bit and keeps the copy for the way back: of a LLaMA with adapters on
all layers that is most of what a step keeps, and seven small kernels for each layer. Here the input is kept as it is,
which the layers that share it share, and each product is one kernel. The matrices themselves, their gradients and
moments stay in 32 bit, as under autocast, which casts for each product in the same way.

For GPUs alone: `choice.choose_adapters`. Source: Hu et al. 2021, "LoRA", equation 3.
"""

from typing import Any

import torch
from torch.nn.functional import linear

from trainer.base_models.transformers_quiet import peft
from trainer.kernels.choice import choose_adapters
from trainer.kernels.trial import passes_trial
from trainer.log import write_line
from trainer.machine.accelerator import describe_accelerator

TRIAL_POSITIONS = 24
HAS_WIDE_PRODUCTS = hasattr(torch.ops.aten.mm, "dtype")  # torch 2.8 and later


class _AdaptedLinear(torch.autograd.Function):
    """Computes x · Wᵀ + bias + scale · x · Aᵀ · Bᵀ, W frozen.

    Shapes: x [rows, in], W [out, in], A [rank, in], B [out, rank].
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        inner, down, up = _enter(ctx, states, down, up, scale)
        ctx.save_for_backward(states, down, up, inner, weight)
        return linear(states, weight, bias).addmm_(inner, up.T)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        [gradient] = gradients
        states, down, up, inner, weight = ctx.saved_tensors  # once: checkpointing computes them again for each asking
        inner_gradient, of_down, of_up = _go_back(ctx, gradient, states, up, inner)
        into = None
        if ctx.needs_input_grad[0]:
            into = (gradient @ weight).addmm_(inner_gradient, down)
        return into, None, None, of_down, of_up, None


class _AdapterOnto(torch.autograd.Function):
    """Adds scale · x · Aᵀ · Bᵀ to the answer of a base layer that multiplies in its own way: one of 4 or 8 bit."""

    @staticmethod
    def forward(
        ctx: Any, answer: torch.Tensor, states: torch.Tensor, down: torch.Tensor, up: torch.Tensor, scale: float
    ) -> torch.Tensor:
        inner, down, up = _enter(ctx, states, down, up, scale)
        ctx.save_for_backward(states, down, up, inner)
        return torch.addmm(answer, inner, up.T)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        [gradient] = gradients
        states, down, up, inner = ctx.saved_tensors
        inner_gradient, of_down, of_up = _go_back(ctx, gradient, states, up, inner)
        into = inner_gradient @ down if ctx.needs_input_grad[1] else None
        return gradient, into, of_down, of_up, None


def _enter(
    ctx: Any, states: torch.Tensor, down: torch.Tensor, up: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute scale · x · Aᵀ, and both matrices in the states' format, which are cast once for both ways."""
    ctx.scale, ctx.wide = scale, down.dtype
    down, up = down.to(states.dtype), up.to(states.dtype)
    return _multiply(states, down.T, scale), down, up


def _go_back(
    ctx: Any, gradient: torch.Tensor, states: torch.Tensor, up: torch.Tensor, inner: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute the gradients of what lies between the two matrices, and of these."""
    between = _multiply(gradient, up, ctx.scale)
    return between, _multiply_wide(between.T, states, ctx.wide), _multiply_wide(gradient.T, inner, ctx.wide)


def _multiply(left: torch.Tensor, right: torch.Tensor, scale: float) -> torch.Tensor:
    """Compute scale · left · right as one kernel."""
    return left.new_empty(left.shape[0], right.shape[1]).addmm_(left, right, beta=0, alpha=scale)


def _multiply_wide(left: torch.Tensor, right: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Multiply in 16 bit into 32, as tensor cores add up; a CPU, or an older torch, widens what was rounded."""
    if HAS_WIDE_PRODUCTS and left.device.type != "cpu" and left.dtype != dtype:
        return torch.mm(left, right, out_dtype=dtype)
    return (left @ right).to(dtype)


def use_narrow_adapters(model: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
    """Let plain LoRA layers multiply in `dtype`, where the device's choice is that. Returns whether any does.

    A layer of another kind (DoRA, LoKr, convolutions, dropout on the input) stays as peft made it.
    """
    choice = choose_adapters(describe_accelerator(device), dtype)
    layers = [layer for layer in model.modules() if is_plain_lora(layer)]
    if choice.kernel == "stock" or not layers:
        return False
    if device.type == "cuda" and not _agrees_with_peft(layers[0], device, dtype):
        return False
    for layer in layers:
        narrow(layer)
    if device.type == "cuda":
        write_line(f"adapters: {choice.reason}")
    return True


def is_plain_lora(layer: Any) -> bool:
    """Tell whether this is one adapter of plain LoRA on a frozen linear layer, without dropout or bias of its own."""
    is_lora = isinstance(layer, peft.tuners.lora.LoraLayer) and isinstance(layer.base_layer, torch.nn.Linear)
    if not is_lora or len(layer.lora_A) != 1 or layer.lora_variant:
        return False
    if any(type(dropout) is not torch.nn.Identity for dropout in layer.lora_dropout.values()):
        return False
    return all(matrix.bias is None for matrix in (*layer.lora_A.values(), *layer.lora_B.values()))


def narrow(layer: Any) -> None:
    """Replace the layer's way forward. Switched off or merged it answers as peft has it."""
    stock, [name] = layer.forward, layer.lora_A

    def forward(states: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        if layer.disable_adapters or layer.merged or arguments or named:
            return stock(states, *arguments, **named)
        return multiply_narrow(layer, name, states)

    layer.forward = forward


def multiply_narrow(layer: Any, name: str, states: torch.Tensor) -> torch.Tensor:
    """Multiply by a base layer and its adapter. Shapes: [..., in] → [..., out]."""
    base, scale = layer.base_layer, float(layer.scaling[name])
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    is_plain = type(base) is torch.nn.Linear
    if is_plain:  # autocast hands on what a norm answers in 32 bit
        states = states.to(base.weight.dtype)
    flat = states.reshape(-1, states.shape[-1])
    if is_plain:
        answer: torch.Tensor = _AdaptedLinear.apply(flat, base.weight, base.bias, down, up, scale)
    else:
        answer = _AdapterOnto.apply(base(flat), flat, down, up, scale)
    return answer.unflatten(0, states.shape[:-1])


def _agrees_with_peft(layer: Any, device: torch.device, dtype: torch.dtype) -> bool:
    """Try one layer, forward and backward, with matrices that are not nought."""
    [name], source = layer.lora_A, torch.Generator().manual_seed(0)
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    states = torch.randn(TRIAL_POSITIONS, layer.in_features, generator=source).to(device, dtype).requires_grad_()
    kept = up.detach().clone()

    def differentiate(answer: torch.Tensor) -> list[torch.Tensor]:
        return [answer, *torch.autograd.grad(answer.float().square().mean(), [states, down, up])]

    with torch.no_grad():
        up.copy_(torch.randn(up.shape, generator=source).to(up) / up.shape[1])
    try:
        return passes_trial(
            "adapters in 16 bit",
            lambda: differentiate(multiply_narrow(layer, name, states)),
            lambda: differentiate(layer(states)),
        )
    finally:
        with torch.no_grad():
            up.copy_(kept)
