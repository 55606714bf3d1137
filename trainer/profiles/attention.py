"""An attention that is measured as a flash kernel would be: full-square FLOPs, and no matrix of scores kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch

from trainer.families.transformers_quiet import transformers

MEASURED = "measured"


class _Attention(torch.autograd.Function):
    """Keeps queries, keys, values, its output and one number a query. Two products forward, four backward."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        groups = query.shape[1] // key.shape[1]
        output = torch.matmul(_multiply(query, key, groups), value.repeat_interleave(groups, dim=1))
        ctx.save_for_backward(query, key, value, output, query.new_empty(query.shape[:3], dtype=torch.float32))
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        query, key, value, _, _ = ctx.saved_tensors
        groups = query.shape[1] // key.shape[1]
        scores = torch.matmul(gradients[0], value.repeat_interleave(groups, dim=1).mT)
        torch.matmul(scores.mT, gradients[0])
        torch.matmul(scores, key.repeat_interleave(groups, dim=1))
        torch.matmul(scores.mT, query)
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _multiply(query: torch.Tensor, key: torch.Tensor, groups: int) -> torch.Tensor:
    return torch.matmul(query, key.repeat_interleave(groups, dim=1).mT)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """In place of `torch.nn.functional.scaled_dot_product_attention`."""
    output: torch.Tensor = _Attention.apply(query, key, value)
    return output


def _attend_in_transformers(
    _: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *__: Any, **___: Any
) -> tuple[torch.Tensor, None]:
    return _attend(query, key, value).transpose(1, 2), None


@contextmanager
def measured_attention() -> Iterator[None]:
    """Attention of diffusers, and of a transformers model made with `attn_implementation=MEASURED`, is the measured."""
    with patch("torch.nn.functional.scaled_dot_product_attention", _attend):
        yield


transformers.AttentionInterface.register(MEASURED, _attend_in_transformers)
