"""Frozen linear layers of one input, as one product, each with or without LoRA on it; their gradients by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch.nn.functional import dropout

from trainer.kernels.frozen_product import multiply, multiply_back

# A and B of each layer in turn, flat; None for both where a layer has no adapter.
Lora = Sequence[torch.Tensor | None]


class JoinedLora(NamedTuple):
    """The adapters of layers of one input as one, in a step: what is kept for the way back.

    Shapes: `downs` [ranks, in], each A below the other; `ups` [outs, ranks], each scale · B in its rows and columns and
    zeros elsewhere; `narrow` [tokens, ranks], x · downsᵀ. `masks` [tokens, in]: what dropout multiplies x by, for each
    adapter its own; None where nothing is dropped.
    """

    downs: torch.Tensor
    ups: torch.Tensor
    narrow: torch.Tensor
    masks: list[torch.Tensor] | None


@dataclass(frozen=True)
class AdaptedLinear:
    """y = x·Wᵀ + b + scale · drop(x)·Aᵀ·Bᵀ, for several W of one x at once: their outputs lie side by side.

    `widths`, `ranks` and `scales` are of each layer in turn; rank 0: it has no adapter. `dropout`: the share of x that
    an adapter does not see in training.
    Shapes: x [tokens, in]; W [out₁ + out₂ + …, in] and b are frozen; y [tokens, out₁ + out₂ + …].
    Source: Hu et al. 2021, "LoRA", section 4.1.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    widths: tuple[int, ...]
    ranks: tuple[int, ...]
    scales: tuple[float, ...]
    dropout: float = 0.0

    @property
    def has_adapter(self) -> bool:
        return any(self.ranks)

    def forward(
        self, states: torch.Tensor, lora: Lora, onto: torch.Tensor | None = None, *, drops: bool = False
    ) -> tuple[torch.Tensor, JoinedLora | None]:
        """Return y, plus `onto`, and what the way back wants of the adapters. `drops`: whether this is training."""
        product = multiply(states, self.weight, self.bias, onto)
        if not self.has_adapter:
            return product, None
        downs, ups = self._join(lora)
        masks = self._draw_masks(states) if drops and self.dropout else None
        narrow = self._narrow(states, downs, masks)
        return product.addmm_(narrow, ups.T), JoinedLora(downs, ups, narrow, masks)

    def backward(
        self,
        gradient: torch.Tensor,
        states: torch.Tensor | None,
        joined: JoinedLora | None,
        *,
        onto: torch.Tensor | None = None,
        wants_states: bool = True,
    ) -> tuple[torch.Tensor | None, Lora]:
        """Compute the gradients of x, plus `onto`, and of the adapters.

        Without an adapter neither x nor `joined` is wanted.
        """
        into_states = multiply_back(gradient, self.weight, onto) if wants_states else None
        if states is None or joined is None:
            return into_states, [None, None] * len(self.ranks)
        narrowed = gradient @ joined.ups
        if into_states is not None:
            self._add_back(into_states, narrowed, joined)
        return into_states, self._split(self._go_down(narrowed, states, joined.masks), gradient.T @ joined.narrow)

    @property
    def _own_ranks(self) -> list[int]:
        return [rank for rank in self.ranks if rank]

    def _draw_masks(self, states: torch.Tensor) -> list[torch.Tensor]:
        return [dropout(torch.ones_like(states), self.dropout) for _ in self._own_ranks]

    def _narrow(self, states: torch.Tensor, downs: torch.Tensor, masks: list[torch.Tensor] | None) -> torch.Tensor:
        if masks is None:
            return states @ downs.T
        seen = zip(masks, downs.split(self._own_ranks), strict=True)
        return torch.cat([(states * mask) @ down.T for mask, down in seen], dim=1)

    def _add_back(self, into_states: torch.Tensor, narrowed: torch.Tensor, joined: JoinedLora) -> None:
        if joined.masks is None:
            into_states.addmm_(narrowed, joined.downs)
            return
        parts, downs = narrowed.split(self._own_ranks, dim=1), joined.downs.split(self._own_ranks)
        for part, down, mask in zip(parts, downs, joined.masks, strict=True):
            into_states.addcmul_(part @ down, mask)

    def _go_down(self, narrowed: torch.Tensor, states: torch.Tensor, masks: list[torch.Tensor] | None) -> torch.Tensor:
        """Compute the gradient of all A."""
        if masks is None:
            return narrowed.T @ states
        parts = narrowed.split(self._own_ranks, dim=1)
        return torch.cat([part.T @ (states * mask) for part, mask in zip(parts, masks, strict=True)])

    def _join(self, lora: Lora) -> tuple[torch.Tensor, torch.Tensor]:
        downs = torch.cat([down for down in lora[::2] if down is not None])
        ups = self.weight.new_zeros(sum(self.widths), sum(self.ranks))
        for up, scale, place in zip(lora[1::2], self.scales, self._places, strict=True):
            if up is not None:
                torch.mul(up, scale, out=ups[place])
        return downs, ups

    @property
    def _places(self) -> Iterator[tuple[slice, slice]]:
        """Where each layer's outputs and ranks lie among those of all."""
        outs, ranks = (pairwise(accumulate(sizes, initial=0)) for sizes in (self.widths, self.ranks))
        return ((slice(*out), slice(*rank)) for out, rank in zip(outs, ranks, strict=True))

    def _split(self, into_downs: torch.Tensor, into_ups: torch.Tensor) -> Lora:
        """Cut the gradients of all A, and of all B with their scales, into those of each layer."""
        into_lora: list[torch.Tensor | None] = []
        for (outs, ranks), rank, scale in zip(self._places, self.ranks, self.scales, strict=True):
            into_lora.append(into_downs[ranks] if rank else None)
            into_lora.append(into_ups[outs, ranks] * scale if rank else None)
        return into_lora
