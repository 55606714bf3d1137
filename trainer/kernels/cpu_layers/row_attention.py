"""Causal attention within each row of a packed batch, forward and backward, on a CPU.

A mask over the whole batch costs tokens², most of it for pairs that never meet. Here every row is causal attention over
its own few tokens and the prefix before them, as if it were alone: short rows all at once, longer ones in turn.
"""

from typing import Any

import torch

from trainer.kernels.cpu_layers import dense_attention, flash_attention
from trainer.kernels.cpu_layers.dense_layout import lay_out_beside
from trainer.kernels.cpu_layers.flash_attention import lay_out_behind
from trainer.kernels.cpu_layers.head_shape import HeadShape
from trainer.kernels.even_sizes import EVEN_FOR_ONEDNN
from trainer.kernels.packed_attention import PackedRows

# Up to here all rows at once cost less than one call for each, and keep no more memory: 128 and what fills a batch up.
LONGEST_DENSE_ROW = 128 + EVEN_FOR_ONEDNN


def attend_rows(projected: torch.Tensor, shape: HeadShape, rows: PackedRows) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return what was attended to, and what is kept for the way back.

    Shapes: [tokens, (heads + 2·key heads)·width], queries, keys and values side by side → [tokens, heads·width].
    """
    way, layout = _choose(shape, rows)
    attended, kept = way.attend(projected, shape, layout)
    return attended, kept


def attend_rows_again(kept: list[torch.Tensor], shape: HeadShape, rows: PackedRows) -> torch.Tensor:
    """Compute what was attended to once more, [tokens, heads·width]."""
    way, layout = _choose(shape, rows)
    attended: torch.Tensor = way.attend_again(kept, shape, layout)
    return attended


def attend_rows_backward(
    gradient: torch.Tensor, kept: list[torch.Tensor], shape: HeadShape, rows: PackedRows
) -> torch.Tensor:
    """Compute the gradient of queries, keys and values side by side, from that of what was attended to."""
    way, layout = _choose(shape, rows)
    into: torch.Tensor = way.attend_backward(gradient, kept, shape, layout)
    return into


def _choose(shape: HeadShape, rows: PackedRows) -> tuple[Any, Any]:
    """Choose one of two modules with the same functions, and make the layout that it takes."""
    if rows.prefix + max(rows.lengths) <= LONGEST_DENSE_ROW:
        return dense_attention, lay_out_beside(rows.prefix, rows.lengths, shape)
    return flash_attention, lay_out_behind(rows.prefix, rows.lengths)
