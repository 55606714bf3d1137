"""Linear layers that keep and compute what one with a LoRA does, less the adapter's own small share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import linear


class _AdaptedLinear(torch.autograd.Function):
    """Keeps its input, for the gradient of the adapter; a frozen linear layer would not."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, layer: torch.nn.Linear, _: torch.Tensor) -> torch.Tensor:
        ctx.layer = layer
        ctx.save_for_backward(inputs)
        return linear(inputs, layer.weight, layer.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, None, torch.Tensor]:
        _inputs = ctx.saved_tensors
        passed = gradients[0] @ ctx.layer.weight if ctx.needs_input_grad[0] else None
        return passed, None, gradients[0].new_empty(1)


@contextmanager
def adapted(layers: list[torch.nn.Linear]) -> Iterator[None]:
    """Let these layers behave as if they had an adapter."""
    anchor = torch.empty(1, device="meta", requires_grad=True)

    def replace(layer: torch.nn.Linear) -> Any:
        return lambda inputs: _AdaptedLinear.apply(inputs, layer, anchor)

    for layer in layers:
        layer.forward = replace(layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
