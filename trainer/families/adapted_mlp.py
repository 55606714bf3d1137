"""The gated MLP of a LLaMA-like layer with its norm and its residual: one step for autograd instead of twelve."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import silu

from trainer.families.adapted_linear import AdaptedLinear, Lora
from trainer.families.frozen_norm import FrozenNorm


@dataclass(frozen=True)
class AdaptedMLP:
    """x + down(silu(gate(norm(x))) · up(norm(x))).

    Source: Shazeer 2020, "GLU Variants Improve Transformer" (SwiGLU).
    """

    norm: FrozenNorm
    gate: AdaptedLinear
    up: AdaptedLinear
    down: AdaptedLinear

    def __call__(self, states: torch.Tensor, gate: Lora, up: Lora, down: Lora) -> torch.Tensor:
        """Shapes: [tokens, width] → [tokens, width]. Differentiable by all arguments."""
        out: torch.Tensor = _AdaptedMLP.apply(states, self, *gate, *up, *down)
        return out


class _AdaptedMLP(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, mlp: AdaptedMLP, *lora: Any) -> torch.Tensor:
        normed, scale = mlp.norm.forward(states)
        gate, gate_narrow = mlp.gate.forward(normed, lora[0:2])
        up, up_narrow = mlp.up.forward(normed, lora[2:4])
        out, down_narrow = mlp.down.forward(silu(gate).mul_(up), lora[4:6])
        ctx.mlp = mlp
        ctx.save_for_backward(states, scale, gate, up, gate_narrow, up_narrow, down_narrow, *lora)
        return out.add_(states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        (gradient,), mlp = gradients, ctx.mlp
        states, scale, gate, up, gate_narrow, up_narrow, down_narrow, *lora = ctx.saved_tensors
        of_gate, of_up, of_down = lora[0:2], lora[2:4], lora[4:6]
        open_gate = silu(gate)
        product = None if down_narrow is None else open_gate * up
        normed = None if gate_narrow is None and up_narrow is None else mlp.norm.apply(states, scale)
        into_down = mlp.down.backward_lora(gradient, product, down_narrow, of_down)
        into_product = mlp.down.backward(gradient, of_down)
        into_up = open_gate.mul_(into_product)
        into_gate = torch.ops.aten.silu_backward(into_product.mul_(up), gate)
        into_normed = mlp.gate.backward(into_gate, of_gate).add_(mlp.up.backward(into_up, of_up))
        return (
            mlp.norm.backward(into_normed, states, scale).add_(gradient),
            None,
            *mlp.gate.backward_lora(into_gate, normed, gate_narrow, of_gate),
            *mlp.up.backward_lora(into_up, normed, up_narrow, of_up),
            *into_down,
        )
