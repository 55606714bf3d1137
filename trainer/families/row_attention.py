"""Causal attention within each row of a packed batch, forward and backward, on a CPU.

A mask over the whole batch costs tokens², most of it for pairs that never meet. Here the shared prefix is put before
each row again, so that every row is plain causal attention over its own few tokens, as if it were alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainer.families.packed_attention import PackedRows

# What scaled_dot_product_attention itself calls on a CPU.
_FORWARD: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
_BACKWARD: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
PER_ROW = 5  # tensors kept


@dataclass(frozen=True)
class HeadShape:
    """Heads of queries, heads of keys and of values (each serves several queries), and the width of one head."""

    heads: int
    key_heads: int
    width: int
    scaling: float


def attend_rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shape: HeadShape, rows: PackedRows
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Shapes: [tokens, heads·width], keys and values [tokens, key heads·width] → [tokens, heads·width].

    Returns also what is kept for the way back: query, key, value, output and log-sum of each row in turn.
    """
    heads = (shape.heads, shape.key_heads, shape.key_heads)
    whole = [_gather_rows(*one, shape, rows) for one in zip((query, key, value), heads, strict=True)]
    kept: list[torch.Tensor] = []
    for parts in zip(*whole, strict=True):
        kept += [*parts, *_FORWARD(*parts, is_causal=True, scale=shape.scaling)]
    return join_outputs(kept, rows), kept


def join_outputs(kept: Sequence[torch.Tensor], rows: PackedRows) -> torch.Tensor:
    """What was attended to, in the order of the packed batch, [tokens, heads·width]."""
    return _join_rows(kept[3::PER_ROW]).flatten(1).index_select(0, rows.firsts)


def attend_rows_backward(
    gradient: torch.Tensor, kept: Sequence[torch.Tensor], shape: HeadShape, rows: PackedRows
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of query, key and value, from that of what was attended to."""
    of_output = gradient.index_select(0, rows.whole)
    if len(rows.copies):
        of_output.index_fill_(0, rows.copies, 0)  # of the copies of the prefix only the first was handed on
    into = []
    for number, of_row in enumerate(_split_rows(of_output.view(-1, shape.heads, shape.width), rows)):
        one = kept[number * PER_ROW : (number + 1) * PER_ROW]
        into.append(_BACKWARD(of_row, *one, dropout_p=0.0, is_causal=True, scale=shape.scaling))
    query, key, value = (_join_rows(parts) for parts in zip(*into, strict=True))
    key, value = (part.unflatten(1, (shape.key_heads, -1)).sum(2) for part in (key, value))
    into_query, into_key, into_value = (_add_copies(part.flatten(1), rows) for part in (query, key, value))
    return into_query, into_key, into_value


def _gather_rows(states: torch.Tensor, heads: int, shape: HeadShape, rows: PackedRows) -> list[torch.Tensor]:
    """Each row with its prefix, a head for each query head: [1, query heads, tokens, width]."""
    whole = states.index_select(0, rows.whole).view(-1, heads, 1, shape.width)
    repeated = whole.expand(-1, -1, shape.heads // heads, -1).reshape(-1, shape.heads, shape.width)
    return _split_rows(repeated, rows)


def _split_rows(whole: torch.Tensor, rows: PackedRows) -> list[torch.Tensor]:
    """[tokens of all whole rows, heads, width] → for each row [1, heads, tokens, width]."""
    return [row.transpose(0, 1)[None] for row in whole.split([rows.prefix + length for length in rows.lengths])]


def _join_rows(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The way back of `_split_rows`."""
    return torch.cat([part[0].transpose(0, 1) for part in parts])


def _add_copies(whole: torch.Tensor, rows: PackedRows) -> torch.Tensor:
    """From whole rows to the packed batch; what stands in several rows adds up."""
    packed = whole.index_select(0, rows.firsts)
    if len(rows.copies):
        packed[: rows.prefix] += whole.index_select(0, rows.copies).view(-1, rows.prefix, whole.shape[1]).sum(0)
    return packed
