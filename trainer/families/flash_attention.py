"""Causal attention over rows of any length, one row after the other, by torch's own kernel: no weights are kept."""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.families.head_shape import HeadShape

# What scaled_dot_product_attention itself calls on a CPU.
_FORWARD: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
_BACKWARD: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
PER_ROW = 5  # tensors kept: query, key, value, output and log-sum


def attend(whole: torch.Tensor, shape: HeadShape, lengths: Sequence[int]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Returns what was attended to, and for the way back PER_ROW tensors of each row in turn.

    Shapes: [all tokens, columns], rows of these lengths end to end → [all tokens, heads·width].
    """
    kept: list[torch.Tensor] = []
    for row in whole.view(len(whole), -1, shape.width).split(list(lengths)):
        query, key, value = row.split((shape.heads, shape.key_heads, shape.key_heads), dim=1)
        parts = [_put_heads_first(part) for part in (query, _repeat(key, shape), _repeat(value, shape))]
        kept += [*parts, *_FORWARD(*parts, is_causal=True, scale=shape.scaling)]
    return join_outputs(kept), kept


def join_outputs(kept: Sequence[torch.Tensor]) -> torch.Tensor:
    """What was attended to, from what was kept."""
    return torch.cat([output[0].transpose(0, 1) for output in kept[3::PER_ROW]]).flatten(1)


def attend_backward(
    gradient: torch.Tensor, kept: Sequence[torch.Tensor], shape: HeadShape, lengths: Sequence[int]
) -> torch.Tensor:
    """Shapes: [all tokens, heads·width] → [all tokens, columns]."""
    into = []
    for number, of_row in enumerate(gradient.view(len(gradient), -1, shape.width).split(list(lengths))):
        one = kept[number * PER_ROW : (number + 1) * PER_ROW]
        query, key, value = _BACKWARD(
            _put_heads_first(of_row), *one, dropout_p=0.0, is_causal=True, scale=shape.scaling
        )
        summed = [part.unflatten(1, (shape.key_heads, shape.group)).sum(2) for part in (key, value)]
        into.append(torch.cat([query, *summed], dim=1)[0].transpose(0, 1))
    return torch.cat(into).flatten(1)


def _put_heads_first(row: torch.Tensor) -> torch.Tensor:
    """[tokens, heads, width] → [1, heads, tokens, width]."""
    return row.transpose(0, 1)[None]


def _repeat(row: torch.Tensor, shape: HeadShape) -> torch.Tensor:
    """A head for each query's: [tokens, key heads, width] → [tokens, heads, width]."""
    return row.repeat_interleave(shape.group, dim=1)
