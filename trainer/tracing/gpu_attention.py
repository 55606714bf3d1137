"""The attention that torch chooses on a GPU, by the same operators, where there is none: each keeps what it would.

On the meta device only. Without it torch takes its way through every score there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.nn.functional import pad

aten = torch.ops.aten
HALF = frozenset({torch.float16, torch.bfloat16})
WIDEST_OF_FLASH = 256
ALIGNED_BIAS = 16


def attend_as_on_gpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Stand in for `torch.nn.functional.scaled_dot_product_attention`.

    Flash attention takes 16 bit without a mask; else a kernel takes all that keeps no scores, with the mask as numbers.
    Source: PyTorch, aten/src/ATen/native/transformers/cuda/sdp_utils.cpp and attention.cpp.
    """
    takes_flash = attn_mask is None and query.dtype in HALF and query.shape[-1] <= WIDEST_OF_FLASH
    output: torch.Tensor
    if takes_flash:
        output = aten._scaled_dot_product_flash_attention(  # noqa: SLF001
            query, key, value, dropout_p, is_causal, False, scale=scale
        )[0]
        return output
    if enable_gqa:
        times = query.shape[1] // key.shape[1]
        key, value = (states.repeat_interleave(times, dim=1) for states in (key, value))
    bias = None if attn_mask is None else make_bias(attn_mask, query, key)
    output = aten._scaled_dot_product_efficient_attention(  # noqa: SLF001
        query, key, value, bias, query.requires_grad or key.requires_grad, dropout_p, is_causal, scale=scale
    )[0]
    return output


def make_bias(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Turn truths into numbers of the query's format, and align the rows as the kernel wants them."""
    if mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), -torch.inf)
    missing = -mask.shape[-1] % ALIGNED_BIAS
    if missing:
        mask = pad(mask, (0, missing))[..., : mask.shape[-1]]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])


@contextmanager
def gpu_attention() -> Iterator[None]:
    """Let all that asks torch for attention have the GPU's."""
    with patch("torch.nn.functional.scaled_dot_product_attention", attend_as_on_gpu):
        yield
