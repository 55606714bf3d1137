"""Frozen linear layers of one input, as one product, each with or without LoRA on it; their gradients by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from trainer.families.frozen_product import multiply, multiply_back

# A and B of each layer in turn, flat; None for both where a layer has no adapter.
Lora = Sequence[torch.Tensor | None]


@dataclass(frozen=True)
class Adapter:
    """Where one adapter stands: its A among the matrices, B after it; its columns of y and of the joined x·Aᵀ."""

    place: int
    outputs: slice
    ranks: slice
    scale: float


def place_adapters(widths: Sequence[int], ranks: Sequence[int], scales: Sequence[float]) -> tuple[Adapter, ...]:
    """By the width of each layer's output and the rank of its adapter; rank 0: it has none."""
    outputs, narrows = (pairwise(accumulate(sizes, initial=0)) for sizes in (widths, ranks))
    return tuple(
        Adapter(2 * number, slice(*output), slice(*narrow), scale)
        for number, (output, narrow, scale) in enumerate(zip(outputs, narrows, scales, strict=True))
        if narrow[0] < narrow[1]
    )


@dataclass(frozen=True)
class AdaptedLinear:
    """y = x·Wᵀ + b + scale · x·Aᵀ·Bᵀ, for several W of one x at once: their outputs lie side by side.

    Shapes: x [tokens, in]; W [out₁ + out₂ + …, in] and b are frozen; y [tokens, out₁ + out₂ + …].
    Source: Hu et al. 2021, "LoRA", section 4.1.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    adapters: tuple[Adapter, ...]

    def forward(self, states: torch.Tensor, lora: Lora) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns y, and x·Aᵀ of all adapters side by side for the way back."""
        product = multiply(states, self.weight, self.bias)
        if not self.adapters:
            return product, None
        narrow = states @ self._join_downs(lora).T
        for one in self.adapters:
            product[:, one.outputs].addmm_(narrow[:, one.ranks], _up(lora, one).T, alpha=one.scale)
        return product, narrow

    def backward(
        self,
        gradient: torch.Tensor,
        states: torch.Tensor | None,
        narrow: torch.Tensor | None,
        lora: Lora,
        *,
        wants_states: bool = True,
    ) -> tuple[torch.Tensor | None, Lora]:
        """The gradients of x and of `lora`. Without an adapter neither x nor x·Aᵀ is wanted."""
        into_states = multiply_back(gradient, self.weight) if wants_states else None
        into_lora: list[torch.Tensor | None] = [None] * len(lora)
        if states is None or narrow is None:
            return into_states, into_lora
        reduced = torch.cat([(gradient[:, one.outputs] @ _up(lora, one)).mul_(one.scale) for one in self.adapters], 1)
        if into_states is not None:
            into_states.addmm_(reduced, self._join_downs(lora))
        into_downs = reduced.T @ states
        for one in self.adapters:
            into_lora[one.place] = into_downs[one.ranks]
            into_lora[one.place + 1] = (gradient[:, one.outputs].T @ narrow[:, one.ranks]).mul_(one.scale)
        return into_states, into_lora

    def _join_downs(self, lora: Lora) -> torch.Tensor:
        return torch.cat([down for one in self.adapters if (down := lora[one.place]) is not None])


def _up(lora: Lora, adapter: Adapter) -> torch.Tensor:
    up = lora[adapter.place + 1]
    assert up is not None
    return up
