"""Frozen linear layers of one input, as one product, each with or without LoRA on it; their gradients by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from trainer.families.frozen_product import multiply, multiply_back

# A and B of each layer in turn, flat; None for both where a layer has no adapter.
Lora = Sequence[torch.Tensor | None]


@dataclass(frozen=True)
class _Adapter:
    """A [rank, in] and B [out, rank]; where they stand among the matrices, in y, and in the joined x·Aᵀ."""

    place: int
    down: torch.Tensor
    up: torch.Tensor
    outputs: slice
    ranks: slice
    scale: float


@dataclass(frozen=True)
class AdaptedLinear:
    """y = x·Wᵀ + b + lora_scale · x·Aᵀ·Bᵀ, for several W of one x at once: their outputs lie side by side.

    Shapes: x [tokens, in]; W [out₁ + out₂ + …, in] and b are frozen; y [tokens, out₁ + out₂ + …]. `widths` are those of
    the outputs.
    Source: Hu et al. 2021, "LoRA", section 4.1.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    widths: tuple[int, ...]
    lora_scales: tuple[float, ...]

    def forward(self, states: torch.Tensor, lora: Lora) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns y, and x·Aᵀ of all adapters side by side for the way back."""
        product, adapters = multiply(states, self.weight, self.bias), self._list_adapters(lora)
        if not adapters:
            return product, None
        narrow = states @ torch.cat([one.down for one in adapters]).T
        for one in adapters:
            product[:, one.outputs].addmm_(narrow[:, one.ranks], one.up.T, alpha=one.scale)
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
        into_states, adapters = (
            multiply_back(gradient, self.weight) if wants_states else None,
            self._list_adapters(lora),
        )
        into_lora: list[torch.Tensor | None] = [None] * len(lora)
        if states is None or narrow is None:
            return into_states, into_lora
        reduced = torch.cat([(gradient[:, one.outputs] @ one.up).mul_(one.scale) for one in adapters], dim=1)
        if into_states is not None:
            into_states.addmm_(reduced, torch.cat([one.down for one in adapters]))
        into_downs = reduced.T @ states
        for one in adapters:
            into_lora[one.place] = into_downs[one.ranks]
            into_lora[one.place + 1] = (gradient[:, one.outputs].T @ narrow[:, one.ranks]).mul_(one.scale)
        return into_states, into_lora

    def _list_adapters(self, lora: Lora) -> list[_Adapter]:
        adapters, rank = [], 0
        for number, (start, end) in enumerate(pairwise(accumulate(self.widths, initial=0))):
            down, up = lora[2 * number : 2 * number + 2]
            if down is not None and up is not None:
                ranks, scale = slice(rank, rank + len(down)), self.lora_scales[number]
                adapters.append(_Adapter(2 * number, down, up, slice(start, end), ranks, scale))
                rank += len(down)
        return adapters
