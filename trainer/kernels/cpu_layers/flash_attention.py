"""Causal attention over rows of any length, one row after the other, by torch's own kernel: no weights are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from trainer.kernels.cpu_layers.head_shape import HeadShape

# What scaled_dot_product_attention itself calls on a CPU.
_FORWARD: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
_BACKWARD: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
PER_ROW = 5  # tensors kept: query, key, value, output and log-sum


@dataclass(frozen=True)
class WholeRows:
    """The rows of a packed batch, each with the shared prefix before it again, end to end.

    `lengths`: of each whole row. `spread`: the places in the batch of all its tokens; `firsts`: where among these the
    batch's tokens stand first; `copies`: where the prefix stands again.
    """

    prefix: int
    lengths: tuple[int, ...]
    spread: torch.Tensor
    firsts: torch.Tensor
    copies: torch.Tensor


@lru_cache(maxsize=2)  # every layer of a step asks for the same
def lay_out_behind(prefix: int, lengths: tuple[int, ...]) -> WholeRows:
    """Lay the rows end to end. `prefix` tokens of the batch are shared, then come each row's own, `lengths` of them."""
    head, own = torch.arange(prefix), torch.arange(prefix, prefix + sum(lengths)).split(lengths)
    spread = torch.cat([part for row in own for part in (head, row)])
    is_copy = (spread < prefix) & (torch.arange(len(spread)) >= prefix)
    firsts, copies = ((~is_copy).nonzero().flatten(), is_copy.nonzero().flatten())
    return WholeRows(prefix, tuple(prefix + length for length in lengths), spread, firsts, copies)


def attend(projected: torch.Tensor, shape: HeadShape, rows: WholeRows) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return what was attended to, and for the way back PER_ROW tensors of each row in turn.

    Shapes: [tokens, columns] → [tokens, heads·width].
    """
    kept: list[torch.Tensor] = []
    whole = projected.index_select(0, rows.spread)
    for row in whole.view(len(whole), -1, shape.width).split(list(rows.lengths)):
        query, key, value = row.split((shape.heads, shape.key_heads, shape.key_heads), dim=1)
        parts = [_put_heads_first(part) for part in (query, _repeat(key, shape), _repeat(value, shape))]
        kept += [*parts, *_FORWARD(*parts, is_causal=True, scale=shape.scaling)]
    return attend_again(kept, shape, rows), kept


def attend_again(kept: Sequence[torch.Tensor], _shape: HeadShape, rows: WholeRows) -> torch.Tensor:
    """Compute what was attended to, from what was kept."""
    whole = torch.cat([output[0].transpose(0, 1) for output in kept[3::PER_ROW]]).flatten(1)
    return whole.index_select(0, rows.firsts)


def attend_backward(
    gradient: torch.Tensor, kept: Sequence[torch.Tensor], shape: HeadShape, rows: WholeRows
) -> torch.Tensor:
    """Compute the gradient of the projections. Shapes: [tokens, heads·width] → [tokens, columns]."""
    of_output = gradient.index_select(0, rows.spread)
    of_output.index_fill_(0, rows.copies, 0)  # of the copies of the prefix only the first was handed on
    into = []
    for number, of_row in enumerate(of_output.view(len(of_output), -1, shape.width).split(list(rows.lengths))):
        one = kept[number * PER_ROW : (number + 1) * PER_ROW]
        query, key, value = _BACKWARD(
            _put_heads_first(of_row), *one, dropout_p=0.0, is_causal=True, scale=shape.scaling
        )
        summed = [part.unflatten(1, (shape.key_heads, shape.group)).sum(2) for part in (key, value)]
        into.append(torch.cat([query, *summed], dim=1)[0].transpose(0, 1))
    whole = torch.cat(into).flatten(1)
    packed = whole.index_select(0, rows.firsts)
    if len(rows.copies):  # what stands in several rows adds up
        packed[: rows.prefix] += whole.index_select(0, rows.copies).view(-1, rows.prefix, whole.shape[1]).sum(0)
    return packed


def _put_heads_first(row: torch.Tensor) -> torch.Tensor:
    """Turn [tokens, heads, width] into [1, heads, tokens, width]."""
    return row.transpose(0, 1)[None]


def _repeat(row: torch.Tensor, shape: HeadShape) -> torch.Tensor:
    """Repeat a head for each query that it serves: [tokens, key heads, width] → [tokens, heads, width]."""
    return row.repeat_interleave(shape.group, dim=1)
