"""All layers of a LLaMA-like model as one step for autograd: a step of its own costs more than a small operation."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from trainer.kernels.cpu_layers.adapted_attention import AdaptedAttention, KeptOfAttention
from trainer.kernels.cpu_layers.adapted_linear import Lora
from trainer.kernels.cpu_layers.adapted_mlp import AdaptedMLP, KeptOfMLP
from trainer.kernels.cpu_layers.rotation import Rotation
from trainer.kernels.packed_attention import PackedRows


@dataclass(frozen=True)
class LlamaLayer:
    """The two halves of a layer, each with the adapter matrices of its linear layers."""

    attention: AdaptedAttention
    attention_lora: Lora
    mlp: AdaptedMLP
    mlp_lora: Lora


@dataclass(frozen=True)
class LlamaStack:
    """The layers in their order. After the last one only the places with loss are computed; the others are zero."""

    layers: tuple[LlamaLayer, ...]

    def __call__(self, states: torch.Tensor, rotation: Rotation, rows: PackedRows, *, drops: bool) -> torch.Tensor:
        """Run all layers. Shapes: [tokens, width] → the same. Differentiable, once, by `states` and by every adapter
        matrix.

        `drops`: whether the adapters' dropout is at work, as in training.
        """
        lora = [matrix for layer in self.layers for matrix in (*layer.attention_lora, *layer.mlp_lora)]
        mode = _Mode(keeps=torch.is_grad_enabled(), drops=drops)
        out: torch.Tensor = _Stack.apply(states, self, rotation, rows, mode, *lora)
        return out


class _Mode(NamedTuple):
    """Whether something is kept for a way back, and whether dropout is at work."""

    keeps: bool
    drops: bool


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, stack: LlamaStack, rotation: Rotation, rows: PackedRows, mode: _Mode, *_: Any
    ) -> torch.Tensor:
        ctx.stack, ctx.rotation, ctx.rows = stack, rotation, rows
        ctx.kept = []
        out = torch.zeros_like(states)
        for layer in stack.layers:
            states, of_attention = layer.attention.forward(
                states, rotation, rows, layer.attention_lora, drops=mode.drops
            )
            states, of_mlp = layer.mlp.forward(states, layer.mlp_lora, drops=mode.drops)
            if mode.keeps:
                ctx.kept.append((of_attention, of_mlp))
        return out.index_copy_(0, rows.wanted, states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        gradient: torch.Tensor | None = gradients[0].index_select(0, ctx.rows.wanted)
        into_lora: list[torch.Tensor | None] = []
        while ctx.kept:  # what a layer kept is let go as soon as it is used
            layer = ctx.stack.layers[len(ctx.kept) - 1]
            wants_states = len(ctx.kept) > 1 or ctx.needs_input_grad[0]
            of_attention, of_mlp = ctx.kept.pop()
            gradient, into_layer = _go_back(layer, gradient, of_attention, of_mlp, ctx, wants_states=wants_states)
            into_lora = [*into_layer, *into_lora]
        return gradient, None, None, None, None, *into_lora


def _go_back(
    layer: LlamaLayer,
    gradient: torch.Tensor | None,
    of_attention: KeptOfAttention,
    of_mlp: KeptOfMLP,
    ctx: Any,
    *,
    wants_states: bool,
) -> tuple[torch.Tensor | None, Lora]:
    assert gradient is not None
    into_middle, into_mlp_lora = layer.mlp.backward(gradient, of_mlp)
    into_states, into_attention_lora = layer.attention.backward(
        into_middle, of_attention, ctx.rotation, ctx.rows, wants_states=wants_states
    )
    return into_states, [*into_attention_lora, *into_mlp_lora]
