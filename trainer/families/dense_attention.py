"""Causal attention over short rows of one padded length, as a few products over all rows and heads at once.

torch's own kernel takes a row at a time and works in blocks that short rows do not fill; on rows of 50 to 110 tokens
this takes half its time. The weights of attention are kept: up to LONGEST_DENSE_ROW they are smaller than what torch's
kernel keeps, whose keys and values are repeated for every query's head.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch

from trainer.families.head_shape import HeadShape


def attend(whole: torch.Tensor, shape: HeadShape, length: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Returns what was attended to, and query, key, value and weights for the way back.

    Shapes: [rows·length, columns] → [rows·length, heads·width]. What stands after a row's end changes nothing before.
    """
    heads = whole.view(-1, length, shape.columns // shape.width, shape.width)
    query, key, value = heads.split((shape.heads, shape.key_heads, shape.key_heads), dim=2)
    query, key, value = _gather_queries(query, shape), _gather_keys(key), _gather_keys(value)
    scores = torch.baddbmm(_mask_future(length, shape.group), query, key.transpose(1, 2), alpha=shape.scaling)
    weights = torch.softmax(scores, dim=-1)
    kept = [query, key, value, weights]
    return attend_again(kept, shape, length), kept


def attend_again(kept: Sequence[torch.Tensor], shape: HeadShape, length: int) -> torch.Tensor:
    """What was attended to, from what was kept."""
    _, _, value, weights = kept
    attended = torch.bmm(weights, value).view(-1, shape.key_heads, shape.group, length, shape.width)
    return attended.permute(0, 3, 1, 2, 4).reshape(-1, shape.heads * shape.width)


def attend_backward(
    gradient: torch.Tensor, kept: Sequence[torch.Tensor], shape: HeadShape, length: int
) -> torch.Tensor:
    """Shapes: [rows·length, heads·width] → [rows·length, columns]."""
    query, key, value, weights = kept
    of_output = _gather_queries(gradient.view(-1, length, shape.heads, shape.width), shape)
    into_weights = torch.bmm(of_output, value.transpose(1, 2))
    into_scores = torch._softmax_backward_data(into_weights, weights, -1, weights.dtype).mul_(shape.scaling)  # noqa: SLF001

    into_whole = gradient.new_empty(len(gradient), shape.columns)
    heads = into_whole.view(-1, length, shape.columns // shape.width, shape.width)
    into_query, into_key, into_value = heads.split((shape.heads, shape.key_heads, shape.key_heads), dim=2)
    _put_back(torch.bmm(into_scores, key), into_query, shape)
    _put_back(torch.bmm(into_scores.transpose(1, 2), query), into_key, shape)
    _put_back(torch.bmm(weights.transpose(1, 2), of_output), into_value, shape)
    return into_whole


def _gather_queries(states: torch.Tensor, shape: HeadShape) -> torch.Tensor:
    """[rows, length, heads, width] → [rows·key heads, group·length, width]: the queries that share a key together."""
    rows, length = states.shape[:2]
    grouped = states.unflatten(2, (shape.key_heads, shape.group)).permute(0, 2, 3, 1, 4)
    return grouped.reshape(rows * shape.key_heads, shape.group * length, shape.width)


def _gather_keys(states: torch.Tensor) -> torch.Tensor:
    """[rows, length, key heads, width] → [rows·key heads, length, width]."""
    return states.transpose(1, 2).flatten(0, 1)


def _put_back(gathered: torch.Tensor, place: torch.Tensor, shape: HeadShape) -> None:
    """The way back of both, into a place of [rows, length, heads, width]."""
    rows, length, _, width = place.shape
    heads = gathered.view(rows, shape.key_heads, -1, length, width)
    place.unflatten(2, (shape.key_heads, -1)).copy_(heads.permute(0, 3, 1, 2, 4))


@lru_cache(maxsize=8)
def _mask_future(length: int, group: int) -> torch.Tensor:
    """[group·length, length]: −∞ where a key comes after its query, else 0."""
    return torch.full((length, length), -torch.inf).triu(1).repeat(group, 1)
