"""Causal attention over short rows laid beside each other: a few products over all rows and heads at once.

torch's own kernel takes a row at a time and works in blocks that short rows do not fill. On rows of 50 to 110 tokens
with a prefix in common this takes half its time. The weights of attention are kept: up to LONGEST_DENSE_ROW they are
smaller than what torch's kernel keeps, whose keys and values are repeated for every query's head.
"""

from typing import NamedTuple

import torch

from trainer.kernels.cpu_layers.dense_layout import DenseLayout
from trainer.kernels.cpu_layers.head_shape import HeadShape

_NOTHING = torch.zeros(1, 1, 1)  # what `baddbmm` adds to a product that is only to be scaled


class Spread(NamedTuple):
    """Queries [rows · key heads, queries · group, width], keys and values [rows · key heads, keys, width]."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


def attend(projected: torch.Tensor, shape: HeadShape, layout: DenseLayout) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return what was attended to, and what is kept for the way back.

    Shapes: projected [tokens, columns] → [tokens, heads · width].
    """
    places = projected.view(-1, shape.width).index_select(0, layout.spread)
    query, key, value = _cut(places, shape, layout)
    weights = torch.baddbmm(layout.hidden, query, key.transpose(1, 2), alpha=shape.scaling).softmax(-1)
    kept = [query, key, value, weights]
    return attend_again(kept, shape, layout), kept


def attend_again(kept: list[torch.Tensor], shape: HeadShape, layout: DenseLayout) -> torch.Tensor:
    """Compute what was attended to, [tokens, heads · width], from what was kept."""
    *_, value, weights = kept
    attended = torch.bmm(weights, value)
    return attended.view(-1, shape.width).index_select(0, layout.collect_queries).view(-1, shape.heads * shape.width)


def attend_backward(
    gradient: torch.Tensor, kept: list[torch.Tensor], shape: HeadShape, layout: DenseLayout
) -> torch.Tensor:
    """Compute the gradient of the projections. Shapes: [tokens, heads · width] → [tokens, columns]."""
    query, key, value, weights = kept
    of_output = gradient.view(-1, shape.width).index_select(0, layout.spread_queries).view_as(query)
    of_output.mul_(layout.is_token)
    into_weights = torch.bmm(of_output, value.transpose(1, 2))
    into_scores = torch._softmax_backward_data(into_weights, weights, -1, weights.dtype)  # noqa: SLF001

    into_places = query.new_empty(len(layout.spread), shape.width)
    into = _cut(into_places, shape, layout)
    torch.baddbmm(_NOTHING, into_scores, key, beta=0, alpha=shape.scaling, out=into.query)
    torch.baddbmm(_NOTHING, into_scores.transpose(1, 2), query, beta=0, alpha=shape.scaling, out=into.key)
    torch.bmm(weights.transpose(1, 2), of_output, out=into.value)
    if layout.prefix and layout.rows > 1:
        _add_up_prefix(into_places[query[..., 0].numel() :], shape, layout)
    return into_places.index_select(0, layout.collect).view(-1, shape.columns)


def _cut(places: torch.Tensor, shape: HeadShape, layout: DenseLayout) -> Spread:
    items = layout.rows * shape.key_heads
    queries, keys = (items * size for size in (layout.queries * shape.group, layout.keys))
    return Spread(*(part.view(items, -1, shape.width) for part in places.split([queries, keys, keys])))


def _add_up_prefix(into_keys_and_values: torch.Tensor, shape: HeadShape, layout: DenseLayout) -> None:
    """Add up the gradients of the prefix, which stands in every row, into the first row, from which it is collected."""
    by_row = into_keys_and_values.view(2, layout.rows, shape.key_heads, layout.keys, shape.width)
    prefix = by_row[:, :, :, : layout.prefix]
    prefix[:, 0] = prefix.sum(1)
