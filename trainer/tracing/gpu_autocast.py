"""Autocast as a GPU does it, where torch has none: on the meta device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional

# What the layers of a UNet call of torch's lists; attention's own products are in one kernel.
# Source: PyTorch, "Automatic Mixed Precision", CUDA op-specific behaviour.
IN_16_BIT = ("linear", "conv2d")
IN_32_BIT = ("group_norm", "layer_norm")


@contextmanager
def gpu_autocast(dtype: torch.dtype, *, norms_in_32_bit: bool = True) -> Iterator[None]:
    """Cast what goes into products to `dtype`, and what goes into norms to 32 bit.

    Functions are replaced, as a mode of torch's would not hold for what checkpointing computes again.
    `norms_in_32_bit`: off on a CPU, whose norms follow their input.
    """
    casting = {name: _casting(getattr(functional, name), dtype) for name in IN_16_BIT}
    if norms_in_32_bit:
        casting |= {name: _casting(getattr(functional, name), torch.float32) for name in IN_32_BIT}
    with patch.multiple(functional, **casting):
        yield


def _casting(function: Any, dtype: torch.dtype) -> Any:
    def compute(*arguments: Any, **named: Any) -> torch.Tensor:
        cast = [_cast(argument, dtype) for argument in arguments]
        output: torch.Tensor = function(*cast, **{name: _cast(value, dtype) for name, value in named.items()})
        return output

    return compute


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
