"""An attention that is measured as a flash kernel would be: full-square FLOPs, and no matrix of scores kept.

On the meta device only: it has a shape and a price, and computes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils.flop_counter import register_flop_formula

from trainer.base_models.transformers_quiet import transformers

MEASURED = "measured"
Shape = torch.Size


@torch.library.custom_op("profiles::attend", mutates_args=())
def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the output, and one number a query that the backward pass needs.

    Shapes: [batch, heads, positions, width].
    """
    raise NotImplementedError


@attend.register_fake
def _(query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    batch, heads, positions, _width = query.shape
    output = query.new_empty(batch, positions, heads, value.shape[-1]).transpose(1, 2)  # as flash kernels lay it out
    return output, query.new_empty(batch, heads, positions, dtype=torch.float32)


@torch.library.custom_op("profiles::attend_backward", mutates_args=())
def attend_backward(
    gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    raise NotImplementedError


@attend_backward.register_fake
def _(
    _gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _keep(ctx: Any, inputs: tuple[torch.Tensor, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _go_back(ctx: Any, gradient: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, ...]:
    query, key, value, _output, _sums = ctx.saved_tensors
    return tuple(attend_backward(gradient, query, key, value))


attend.register_autograd(_go_back, setup_context=_keep)


@register_flop_formula(torch.ops.profiles.attend)
def _count_forward(query: Shape, key: Shape, value: Shape, **_: Any) -> int:
    """Count two products: the scores, and theirs with the values."""
    batch, heads, positions, width = query
    return 2 * batch * heads * positions * key[2] * (width + value[3])


@register_flop_formula(torch.ops.profiles.attend_backward)
def _count_backward(_: Shape, query: Shape, key: Shape, value: Shape, **__: Any) -> int:
    """Count four products; that a flash kernel computes the scores once more is not counted."""
    return 2 * _count_forward(query, key, value)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Stand in for `torch.nn.functional.scaled_dot_product_attention`."""
    output: torch.Tensor = attend(query, key, value)[0]
    return output


def _attend_in_transformers(
    _: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *__: Any, **___: Any
) -> tuple[torch.Tensor, None]:
    return _attend(query, key, value).transpose(1, 2), None


@contextmanager
def measured_attention() -> Iterator[None]:
    """Let diffusers, and a transformers model made with `attn_implementation=MEASURED`, use the attention that is
    measured.
    """
    with patch("torch.nn.functional.scaled_dot_product_attention", _attend):
        yield


transformers.AttentionInterface.register(MEASURED, _attend_in_transformers)
