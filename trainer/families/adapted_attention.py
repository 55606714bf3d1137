"""The attention block of a LLaMA-like layer with its norm and its residual, LoRA on any of its projections."""

from dataclasses import dataclass
from typing import Any

import torch

from trainer.families.adapted_linear import AdaptedLinear
from trainer.families.frozen_norm import FrozenNorm
from trainer.families.head_shape import HeadShape
from trainer.families.packed_attention import PackedRows
from trainer.families.row_attention import attend_rows, attend_rows_again, attend_rows_backward

Rotation = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class AdaptedAttention:
    """x + output(attend(rotate(query(norm(x))), rotate(key(norm(x))), value(norm(x)))).

    `query_key_value`: the three layers in one.
    """

    norm: FrozenNorm
    query_key_value: AdaptedLinear
    output: AdaptedLinear
    shape: HeadShape

    def __call__(
        self, states: torch.Tensor, rotation: Rotation, rows: PackedRows, *lora: torch.Tensor | None
    ) -> torch.Tensor:
        """Shapes: states [tokens, width], cosine and sine [tokens, width of a head] → [tokens, width].

        `lora` is of query, key, value and output. Differentiable by `states` and `lora`.
        """
        out: torch.Tensor = _AdaptedAttention.apply(states, self, rotation, rows, *lora)
        return out


class _AdaptedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, block: AdaptedAttention, rotation: Rotation, rows: PackedRows, *lora: Any
    ) -> torch.Tensor:
        normed, scale = block.norm.forward(states)
        projected, narrow = block.query_key_value.forward(normed, lora[:6])
        rotate(projected[:, : block.shape.rotated], *rotation)
        attended, kept = attend_rows(projected, block.shape, rows)
        out, output_narrow = block.output.forward(attended, lora[6:])
        ctx.block, ctx.rotation, ctx.rows, ctx.matrices = block, rotation, rows, len(lora)
        ctx.save_for_backward(states, scale, narrow, output_narrow, *lora, *kept)
        return out.add_(states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        (gradient,), block, (cosine, sine) = gradients, ctx.block, ctx.rotation
        states, scale, narrow, output_narrow, *rest = ctx.saved_tensors
        lora, kept = rest[: ctx.matrices], rest[ctx.matrices :]

        attended = None if output_narrow is None else attend_rows_again(kept, block.shape, ctx.rows)
        into_attended, into_output = block.output.backward(gradient, attended, output_narrow, lora[6:])
        into_projected = attend_rows_backward(into_attended, kept, block.shape, ctx.rows)
        rotate(into_projected[:, : block.shape.rotated], cosine, -sine)

        normed = None if narrow is None else block.norm.apply(states, scale)
        wants_states = ctx.needs_input_grad[0]  # the first layer's input needs no gradient
        into_normed, into_entry = block.query_key_value.backward(
            into_projected, normed, narrow, lora[:6], wants_states=wants_states
        )
        into_states = block.norm.backward(into_normed, states, scale, gradient) if wants_states else None
        return into_states, None, None, None, *into_entry, *into_output


def rotate(projected: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> None:
    """Turn each head by its position, in place; with −sine it is the way back.

    Shapes: projected [tokens, heads·width], cosine and sine [tokens, width], each of two equal halves.
    Source: Su et al. 2021, "RoFormer", section 3.4.2, the halves of a head paired as transformers pairs them.
    """
    half = cosine.shape[1] // 2
    heads = projected.unflatten(1, (-1, 2 * half))
    turned = heads * cosine[:, None]
    turned[..., :half].addcmul_(heads[..., half:], sine[:, None, :half], value=-1)
    turned[..., half:].addcmul_(heads[..., :half], sine[:, None, half:])
    heads.copy_(turned)
