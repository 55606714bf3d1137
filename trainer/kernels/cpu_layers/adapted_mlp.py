"""The gated MLP of a LLaMA-like layer with its norm and its residual, LoRA on any of its layers."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn.functional import silu

from trainer.kernels.cpu_layers.adapted_linear import AdaptedLinear, JoinedLora, Lora
from trainer.kernels.cpu_layers.frozen_norm import FrozenNorm


class KeptOfMLP(NamedTuple):
    """What the way back wants of the way forward."""

    states: torch.Tensor
    scale: torch.Tensor
    gate: torch.Tensor
    opened: torch.Tensor
    up: torch.Tensor
    gate_lora: JoinedLora | None
    up_lora: JoinedLora | None
    down_lora: JoinedLora | None


@dataclass(frozen=True)
class AdaptedMLP:
    """x + down(silu(gate(norm(x))) · up(norm(x))). `lora` is of gate, up and down.

    Gate and up are not joined as query, key and value are: what is computed of each element takes longer on the half
    of a wider tensor than on a tensor of its own.
    Source: Shazeer 2020, "GLU Variants Improve Transformer" (SwiGLU).
    """

    norm: FrozenNorm
    gate: AdaptedLinear
    up: AdaptedLinear
    down: AdaptedLinear

    def forward(self, states: torch.Tensor, lora: Lora, *, drops: bool) -> tuple[torch.Tensor, KeptOfMLP]:
        """Return the block's output, and what the way back wants. Shapes: [tokens, width] → the same."""
        normed, scale = self.norm.forward(states)
        gate, gate_lora = self.gate.forward(normed, lora[:2], drops=drops)
        up, up_lora = self.up.forward(normed, lora[2:4], drops=drops)
        opened = silu(gate)
        out, down_lora = self.down.forward(opened * up, lora[4:], onto=states, drops=drops)
        return out, KeptOfMLP(states, scale, gate, opened, up, gate_lora, up_lora, down_lora)

    def backward(self, gradient: torch.Tensor, kept: KeptOfMLP) -> tuple[torch.Tensor, Lora]:
        """Compute the gradients of x and of `lora`."""
        product = None if kept.down_lora is None else kept.opened * kept.up
        into_product, into_down = self.down.backward(gradient, product, kept.down_lora)
        assert into_product is not None
        into_up = kept.opened.mul_(into_product)  # the way back is taken once
        into_gate = torch.ops.aten.silu_backward(into_product.mul_(kept.up), kept.gate)

        is_plain = kept.gate_lora is None and kept.up_lora is None
        normed = None if is_plain else self.norm.apply(kept.states, kept.scale)
        into_normed, into_gate_lora = self.gate.backward(into_gate, normed, kept.gate_lora)
        into_normed, into_up_lora = self.up.backward(into_up, normed, kept.up_lora, onto=into_normed)
        assert into_normed is not None
        into_states = self.norm.backward(into_normed, kept.states, kept.scale, gradient)
        return into_states, [*into_gate_lora, *into_up_lora, *into_down]
