"""The gated MLP of a LLaMA-like layer with its norm and its residual: one step for autograd instead of twelve."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import silu

from trainer.families.adapted_linear import AdaptedLinear
from trainer.families.frozen_norm import FrozenNorm


@dataclass(frozen=True)
class AdaptedMLP:
    """x + down(silu(gate(norm(x))) · up(norm(x))). `gate_up`: both layers in one.

    Source: Shazeer 2020, "GLU Variants Improve Transformer" (SwiGLU).
    """

    norm: FrozenNorm
    gate_up: AdaptedLinear
    down: AdaptedLinear

    def __call__(self, states: torch.Tensor, *lora: torch.Tensor | None) -> torch.Tensor:
        """Shapes: [tokens, width] → [tokens, width]. `lora` is of gate, up and down. Differentiable by all of them."""
        out: torch.Tensor = _AdaptedMLP.apply(states, self, *lora)
        return out


class _AdaptedMLP(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, mlp: AdaptedMLP, *lora: Any) -> torch.Tensor:
        normed, scale = mlp.norm.forward(states)
        opened, opened_narrow = mlp.gate_up.forward(normed, lora[:4])
        gate, up = opened.chunk(2, dim=1)
        out, down_narrow = mlp.down.forward(silu(gate).mul_(up), lora[4:])
        ctx.mlp = mlp
        ctx.save_for_backward(states, scale, opened, opened_narrow, down_narrow, *lora)
        return out.add_(states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        (gradient,), mlp = gradients, ctx.mlp
        states, scale, opened, opened_narrow, down_narrow, *lora = ctx.saved_tensors
        gate, up = opened.chunk(2, dim=1)
        open_gate = silu(gate)
        product = None if down_narrow is None else open_gate * up
        into_product, into_down = mlp.down.backward(gradient, product, down_narrow, lora[4:])

        into_opened = torch.empty_like(opened)
        into_gate, into_up = into_opened.chunk(2, dim=1)
        torch.mul(open_gate, into_product, out=into_up)
        torch.ops.aten.silu_backward.grad_input(into_product.mul_(up), gate, grad_input=into_gate)

        normed = None if opened_narrow is None else mlp.norm.apply(states, scale)
        into_normed, into_gate_up = mlp.gate_up.backward(into_opened, normed, opened_narrow, lora[:4])
        return mlp.norm.backward(into_normed, states, scale, gradient), None, *into_gate_up, *into_down
