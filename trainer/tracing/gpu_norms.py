"""The norm that torch has as one kernel on a GPU, where there is none: it keeps what that keeps, and no copy in 32 bit.

On the meta device only, which would take it apart into eight operators.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch


class _NormAsOnGpu(torch.autograd.Function):
    """Stands in for `aten::_fused_rms_norm`: keeps its input and one number for each position.

    Source: PyTorch, tools/autograd/derivatives.yaml.
    """

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        scales = states.new_empty((*states.shape[:-1], 1), dtype=torch.float32)
        ctx.save_for_backward(states, scales, weight)
        return torch.empty_like(states)

    @staticmethod
    def backward(_ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.empty_like(gradients[0]), None


def _norm(states: torch.Tensor, _shape: Sequence[int], weight: torch.Tensor, _epsilon: float) -> tuple[torch.Tensor]:
    return (_NormAsOnGpu.apply(states, weight),)


@contextmanager
def gpu_norms() -> Iterator[None]:
    """Let fused norms have the GPU's kernel."""
    with patch("trainer.kernels.fused_layers.FUSED_NORM", _norm):
        yield
