"""Attention row by row against one call with a mask over the whole batch."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from trainer.families.packed_attention import lay_out_rows
from trainer.families.row_attention import HeadShape, attend_rows, attend_rows_backward

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


@pytest.mark.parametrize(("prefix", "lengths"), [(0, (5,)), (0, (3, 1, 6)), (4, (3, 1, 6)), (70, (40, 2))])
def test_output_and_gradients_are_those_of_a_mask(prefix, lengths) -> None:
    torch.manual_seed(0)
    rows, tokens = lay_out_rows(prefix, lengths, torch.device("cpu")), prefix + sum(lengths)
    states = [torch.randn(tokens, heads * SHAPE.width, requires_grad=True) for heads in (4, 2, 2)]
    gradient = torch.randn(tokens, 4 * SHAPE.width)
    expected = attend_by_mask(*states, rows)
    expected.backward(gradient)
    attended, kept = attend_rows(*(part.detach() for part in states), SHAPE, rows)
    torch.testing.assert_close(attended, expected.detach(), rtol=1e-5, atol=1e-6)
    for ours, part in zip(attend_rows_backward(gradient, kept, SHAPE, rows), states, strict=True):
        torch.testing.assert_close(ours, part.grad, rtol=1e-5, atol=1e-5)


def test_every_row_is_laid_out_with_its_prefix() -> None:
    rows = lay_out_rows(2, (1, 2), torch.device("cpu"))
    assert rows.whole.tolist() == [0, 1, 2, 0, 1, 3, 4]
    assert rows.firsts.tolist() == [0, 1, 2, 5, 6]
    assert rows.copies.tolist() == [3, 4]
