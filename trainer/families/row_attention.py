"""Causal attention within each row of a packed batch, forward and backward, on a CPU.

A mask over the whole batch costs tokens², most of it for pairs that never meet. Here the shared prefix is put before
each row again, so that every row is plain causal attention over its own few tokens, as if it were alone.
"""

from collections.abc import Sequence

import torch

from trainer.families import dense_attention, flash_attention
from trainer.families.head_shape import HeadShape
from trainer.families.packed_attention import PackedRows


def attend_rows(projected: torch.Tensor, shape: HeadShape, rows: PackedRows) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Returns what was attended to, and what is kept for the way back.

    Shapes: [tokens, (heads + 2·key heads)·width], queries, keys and values side by side → [tokens, heads·width].
    """
    whole = projected.index_select(0, rows.whole)
    if rows.padded_length:
        attended, kept = dense_attention.attend(whole, shape, rows.padded_length)
    else:
        attended, kept = flash_attention.attend(whole, shape, rows.whole_lengths)
    return attended.index_select(0, rows.firsts), kept


def join_outputs(kept: Sequence[torch.Tensor], shape: HeadShape, rows: PackedRows) -> torch.Tensor:
    """What was attended to, once more, [tokens, heads·width]."""
    if rows.padded_length:
        attended = dense_attention.attend_again(kept, shape, rows.padded_length)
    else:
        attended = flash_attention.join_outputs(kept)
    return attended.index_select(0, rows.firsts)


def attend_rows_backward(
    gradient: torch.Tensor, kept: Sequence[torch.Tensor], shape: HeadShape, rows: PackedRows
) -> torch.Tensor:
    """The gradient of queries, keys and values side by side, from that of what was attended to."""
    of_output = gradient.index_select(0, rows.whole)
    if len(rows.blanks):
        of_output.index_fill_(0, rows.blanks, 0)  # of the copies of the prefix only the first was handed on
    if rows.padded_length:
        whole = dense_attention.attend_backward(of_output, kept, shape, rows.padded_length)
    else:
        whole = flash_attention.attend_backward(of_output, kept, shape, rows.whole_lengths)
    packed = whole.index_select(0, rows.firsts)
    if len(rows.copies):  # what stands in several rows adds up
        packed[: rows.prefix] += whole.index_select(0, rows.copies).view(-1, rows.prefix, whole.shape[1]).sum(0)
    return packed
