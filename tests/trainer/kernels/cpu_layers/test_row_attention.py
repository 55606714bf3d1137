"""Attention row by row against one call with a mask over the whole batch."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from trainer.kernels.cpu_layers.dense_layout import lay_out_beside
from trainer.kernels.cpu_layers.flash_attention import lay_out_behind
from trainer.kernels.cpu_layers.head_shape import HeadShape
from trainer.kernels.cpu_layers.row_attention import (
    LONGEST_DENSE_ROW,
    attend_rows,
    attend_rows_again,
    attend_rows_backward,
)
from trainer.kernels.packed_attention import lay_out_rows

SHAPE = HeadShape(heads=4, key_heads=2, width=8, scaling=0.3)


def attend_by_mask(query, key, value, rows):
    query, key, value = (
        states.view(len(states), -1, SHAPE.width).transpose(0, 1)[None] for states in (query, key, value)
    )
    mask = rows.masks[0]
    attended = scaled_dot_product_attention(
        query, key, value, mask, is_causal=mask is None, scale=SHAPE.scaling, enable_gqa=True
    )
    return attended[0].transpose(0, 1).flatten(1)


def lay_out(prefix, lengths):
    return lay_out_rows(prefix, lengths, torch.ones(prefix + sum(lengths), dtype=torch.bool), torch.device("cpu"))


@pytest.mark.parametrize(
    ("prefix", "lengths"),
    [(0, (5,)), (0, (3, 1, 6)), (4, (3, 1, 6)), (70, (40, 2)), (0, (LONGEST_DENSE_ROW + 1, 3)), (90, (40, 2, 60))],
    ids=str,
)
def test_output_and_gradients_are_those_of_a_mask(prefix, lengths) -> None:
    torch.manual_seed(0)
    rows, tokens = lay_out(prefix, lengths), prefix + sum(lengths)
    states = [torch.randn(tokens, heads * SHAPE.width, requires_grad=True) for heads in (4, 2, 2)]
    gradient = torch.randn(tokens, 4 * SHAPE.width)
    expected = attend_by_mask(*states, rows)
    expected.backward(gradient)
    attended, kept = attend_rows(torch.cat(states, dim=1).detach(), SHAPE, rows)
    torch.testing.assert_close(attended, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(attend_rows_again(kept, SHAPE, rows), attended, rtol=0, atol=0)
    into = attend_rows_backward(gradient, kept, SHAPE, rows)
    torch.testing.assert_close(into, torch.cat([part.grad for part in states], dim=1), rtol=1e-5, atol=1e-5)


def test_short_rows_lie_beside_each_other_and_the_prefix_asks_in_the_shortest() -> None:
    one_head = HeadShape(heads=1, key_heads=1, width=8, scaling=1.0)
    layout = lay_out_beside(2, (3, 1), one_head)
    queries, keys, values = (layout.spread // 3).split([2 * 3, 2 * 5, 2 * 5])
    assert queries.tolist() == layout.spread_queries.tolist() == [2, 3, 4, 0, 1, 5]
    assert keys.tolist() == values.tolist() == [0, 1, 2, 3, 4, 0, 1, 5, 0, 0]  # the last two fill up
    assert layout.collect_queries.tolist() == [3, 4, 0, 1, 2, 5]
    assert (layout.collect.view(6, 3)[:, 1] - 6).tolist() == [0, 1, 2, 3, 4, 7]  # the prefix from the first row
    assert (layout.hidden == 0).sum(2).tolist() == [[3, 4, 5], [1, 2, 3]]


def test_a_row_with_fewer_queries_is_filled_up() -> None:
    layout = lay_out_beside(0, (1, 3), SHAPE)
    assert layout.is_token.view(2, 2, 3, 2)[:, 0, :, 0].tolist() == [[1, 0, 0], [1, 1, 1]]


def test_long_rows_lie_end_to_end_with_their_prefix() -> None:
    rows = lay_out_behind(2, (1, LONGEST_DENSE_ROW))
    assert rows.spread.tolist() == [0, 1, 2, 0, 1, *range(3, LONGEST_DENSE_ROW + 3)]
    assert rows.lengths == (3, LONGEST_DENSE_ROW + 2)
    assert rows.copies.tolist() == [3, 4]
