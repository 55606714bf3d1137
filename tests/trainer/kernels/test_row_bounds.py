"""Attention over all rows in one call: flash attention's rule, written out, gives each row what it has with a mask."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from trainer.kernels import row_bounds
from trainer.kernels.packed_attention import _mask_all
from trainer.kernels.row_bounds import attend_by_bounds, find_bounds

CPU = torch.device("cpu")


def attend_by_rule(query, key, value, queries, keys, longest_queries, longest_keys, *, scale):
    """Attend as flash attention does: row by row, the last query lined up with the last key, heads in groups."""
    answers = []
    key, value = (of.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for of in (key, value))
    assert longest_queries == queries.diff().max()
    assert longest_keys == keys.diff().max()
    for row in range(len(queries) - 1):
        (first, last), (first_key, last_key) = queries[row : row + 2], keys[row : row + 2]
        mask = torch.ones(last - first, last_key - first_key, dtype=torch.bool).tril(
            (last_key - first_key) - (last - first)
        )
        states = query[first:last], key[first_key:last_key], value[first_key:last_key]
        attended = scaled_dot_product_attention(*(of.transpose(0, 1) for of in states), mask, scale=scale)
        answers.append(attended.transpose(0, 1))
    return torch.cat(answers)


@pytest.mark.parametrize("prefix", [0, 3])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_output_and_gradients_are_those_of_a_mask(monkeypatch, prefix, key_heads) -> None:
    monkeypatch.setattr(row_bounds, "_load_varlen", lambda _is_grouped: attend_by_rule)
    lengths, source = (5, 1, 7), torch.Generator().manual_seed(0)
    tokens = prefix + sum(lengths)
    states = [
        torch.randn(1, heads, tokens, 8, generator=source, dtype=torch.double) for heads in (4, key_heads, key_heads)
    ]
    states = [of.requires_grad_() for of in states]
    bounds = find_bounds(prefix, lengths, CPU)
    assert bounds.queries.dtype is torch.int32
    ours = attend_by_bounds(*states, bounds, scale=None)
    query, *others = states
    key, value = (of.repeat_interleave(4 // key_heads, dim=1) for of in others)
    mask = _mask_all(prefix, lengths, CPU)
    theirs = scaled_dot_product_attention(query, key, value, mask).transpose(1, 2)
    torch.testing.assert_close(ours, theirs)
    towards = torch.randn(ours.shape, generator=source, dtype=torch.double)
    for our, their in zip(
        torch.autograd.grad(ours, states, towards), torch.autograd.grad(theirs, states, towards), strict=True
    ):
        torch.testing.assert_close(our, their, rtol=1e-6, atol=1e-6)


def test_the_prefix_is_a_row_and_stands_before_the_keys_of_each_other() -> None:
    bounds = find_bounds(2, (1, 2), CPU)
    assert bounds.queries.tolist() == [0, 2, 3, 5]
    assert bounds.keys.tolist() == [0, 2, 5, 9]
    assert bounds.gathered.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4]
    assert bounds.own.tolist() == [0, 1, 4, 7, 8]
    assert bounds.copies.tolist() == [2, 3, 5, 6]
