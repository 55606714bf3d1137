"""The attention block of a LLaMA-like layer with its norm and its residual, LoRA on any of its projections."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from trainer.kernels.cpu_layers.adapted_linear import AdaptedLinear, JoinedLora, Lora
from trainer.kernels.cpu_layers.frozen_norm import FrozenNorm
from trainer.kernels.cpu_layers.head_shape import HeadShape
from trainer.kernels.cpu_layers.rotation import Rotation
from trainer.kernels.cpu_layers.row_attention import attend_rows, attend_rows_again, attend_rows_backward
from trainer.kernels.packed_attention import PackedRows


class KeptOfAttention(NamedTuple):
    """What the way back wants of the way forward."""

    states: torch.Tensor
    scale: torch.Tensor
    entry: JoinedLora | None
    heads: list[torch.Tensor]
    output: JoinedLora | None


@dataclass(frozen=True)
class AdaptedAttention:
    """x + output(attend(rotate(query(norm(x))), rotate(key(norm(x))), value(norm(x)))).

    `query_key_value`: the three layers in one. `is_last`: of the last layer, whose output is wanted only where there is
    loss. `lora` is of query, key, value and output.
    """

    norm: FrozenNorm
    query_key_value: AdaptedLinear
    output: AdaptedLinear
    shape: HeadShape
    is_last: bool

    def forward(
        self, states: torch.Tensor, rotation: Rotation, rows: PackedRows, lora: Lora, *, drops: bool
    ) -> tuple[torch.Tensor, KeptOfAttention]:
        """Return the block's output, and what the way back wants.

        Shapes: [tokens, width] → the same; of the last layer [loss tokens, width].
        """
        normed, scale = self.norm.forward(states)
        projected, entry = self.query_key_value.forward(normed, lora[:6], drops=drops)
        rotation.turn(projected[:, : self.shape.rotated])
        attended, heads = attend_rows(projected, self.shape, rows)
        residual = self._pick(states, rows)
        out, output = self.output.forward(self._pick(attended, rows), lora[6:], onto=residual, drops=drops)
        return out, KeptOfAttention(states, scale, entry, heads, output)

    def backward(
        self, gradient: torch.Tensor, kept: KeptOfAttention, rotation: Rotation, rows: PackedRows, *, wants_states: bool
    ) -> tuple[torch.Tensor | None, Lora]:
        """Compute the gradients of x, None where it is not wanted, and of `lora`."""
        attended = None
        if kept.output is not None:
            attended = self._pick(attend_rows_again(kept.heads, self.shape, rows), rows)
        into_attended, into_output = self.output.backward(gradient, attended, kept.output)
        assert into_attended is not None
        into_attended = self._put_back(into_attended, kept.states, rows)
        into_projected = attend_rows_backward(into_attended, kept.heads, self.shape, rows)
        rotation.turn_back(into_projected[:, : self.shape.rotated])

        normed = None if kept.entry is None else self.norm.apply(kept.states, kept.scale)
        into_normed, into_entry = self.query_key_value.backward(
            into_projected, normed, kept.entry, wants_states=wants_states
        )
        into_lora = [*into_entry, *into_output]
        if into_normed is None:
            return None, into_lora
        residual = self._put_back(gradient, kept.states, rows)
        return self.norm.backward(into_normed, kept.states, kept.scale, residual), into_lora

    def _pick(self, states: torch.Tensor, rows: PackedRows) -> torch.Tensor:
        return states.index_select(0, rows.wanted) if self.is_last else states

    def _put_back(self, picked: torch.Tensor, states: torch.Tensor, rows: PackedRows) -> torch.Tensor:
        if not self.is_last:
            return picked
        return picked.new_zeros(len(states), picked.shape[1]).index_copy_(0, rows.wanted, picked)
