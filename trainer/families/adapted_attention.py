"""The attention block of a LLaMA-like layer with its norm and its residual, LoRA on any of its projections."""

from dataclasses import dataclass
from typing import Any

import torch

from trainer.families.adapted_linear import AdaptedLinear, Lora
from trainer.families.frozen_norm import FrozenNorm
from trainer.families.packed_attention import PackedRows
from trainer.families.row_attention import HeadShape, attend_rows, attend_rows_backward, join_outputs

Rotation = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class AdaptedAttention:
    """x + output(attend(rotate(query(norm(x))), rotate(key(norm(x))), value(norm(x))))."""

    norm: FrozenNorm
    query: AdaptedLinear
    key: AdaptedLinear
    value: AdaptedLinear
    output: AdaptedLinear
    shape: HeadShape

    def __call__(self, states: torch.Tensor, rotation: Rotation, rows: PackedRows, *lora: Lora) -> torch.Tensor:
        """Shapes: states [tokens, width], cosine and sine [tokens, width of a head] → [tokens, width].

        `lora` is of query, key, value and output. Differentiable by `states` and `lora`.
        """
        matrices = [matrix for pair in lora for matrix in pair]
        out: torch.Tensor = _AdaptedAttention.apply(states, self, rotation, rows, *matrices)
        return out


class _AdaptedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, block: AdaptedAttention, rotation: Rotation, rows: PackedRows, *lora: Any
    ) -> torch.Tensor:
        normed, scale = block.norm.forward(states)
        query, query_narrow = block.query.forward(normed, lora[0:2])
        key, key_narrow = block.key.forward(normed, lora[2:4])
        value, value_narrow = block.value.forward(normed, lora[4:6])
        query, key = rotate(query, *rotation), rotate(key, *rotation)
        attended, kept = attend_rows(query, key, value, block.shape, rows)
        out, output_narrow = block.output.forward(attended, lora[6:8])
        ctx.block, ctx.rotation, ctx.rows = block, rotation, rows
        ctx.save_for_backward(states, scale, query_narrow, key_narrow, value_narrow, output_narrow, *lora, *kept)
        return out.add_(states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        (gradient,), block, (cosine, sine) = gradients, ctx.block, ctx.rotation
        states, scale, query_narrow, key_narrow, value_narrow, output_narrow, *rest = ctx.saved_tensors
        of_query, of_key, of_value, of_output, kept = rest[0:2], rest[2:4], rest[4:6], rest[6:8], rest[8:]

        attended = None if output_narrow is None else join_outputs(kept, ctx.rows)
        into_output = block.output.backward_lora(gradient, attended, output_narrow, of_output)
        into_attended = block.output.backward(gradient, of_output)
        into_query, into_key, into_value = attend_rows_backward(into_attended, kept, block.shape, ctx.rows)
        into_query, into_key = rotate(into_query, cosine, -sine), rotate(into_key, cosine, -sine)

        normed = block.norm.apply(states, scale)
        into_matrices = (
            *block.query.backward_lora(into_query, normed, query_narrow, of_query),
            *block.key.backward_lora(into_key, normed, key_narrow, of_key),
            *block.value.backward_lora(into_value, normed, value_narrow, of_value),
            *into_output,
        )
        if not ctx.needs_input_grad[0]:  # the first layer's
            return None, None, None, None, *into_matrices
        into_normed = block.query.backward(into_query, of_query)
        into_normed.add_(block.key.backward(into_key, of_key)).add_(block.value.backward(into_value, of_value))
        into_states = block.norm.backward(into_normed, states, scale).add_(gradient)
        return into_states, None, None, None, *into_matrices


def rotate(projected: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn each head of queries or keys by its position; with −sine it is the way back.

    Shapes: projected [tokens, heads·width], cosine and sine [tokens, width], each of two equal halves.
    Source: Su et al. 2021, "RoFormer", section 3.4.2, the halves of a head paired as transformers pairs them.
    """
    half = cosine.shape[1] // 2
    heads = projected.view(len(projected), -1, 2 * half)
    turned = heads * cosine[:, None]
    turned[..., :half].addcmul_(heads[..., half:], sine[:, None, :half], value=-1)
    turned[..., half:].addcmul_(heads[..., :half], sine[:, None, half:])
    return turned.view_as(projected)
