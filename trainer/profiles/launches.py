"""Counting the kernels that eager mode launches, and the bytes that those beside products pass through memory.

Kernels are operations that compute, not those that only look at a tensor anew.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias"})
# What waits for arithmetic, and the view that a product is followed by.
PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "convolution", "convolution_backward", "attend"})
PRODUCTS_AND_VIEWS = PRODUCTS | {"attend_backward", "_unsafe_view"}
# Norms read their input for its mean and its spread, and once more.
READING_TWICE = frozenset({"native_layer_norm", "native_group_norm"})


class LaunchCounter(TorchDispatchMode):
    """`launches` counts operations that are neither views nor allocations. On the meta device nothing is computed.

    `passed_bytes`: what those of them that are no product read and write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.passed_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if _is_view(func) or name in ALLOCATIONS:
            return result
        self.launches += 1
        if name not in PRODUCTS_AND_VIEWS:
            self.passed_bytes += _count_bytes((args, kwargs, result))
        if name in READING_TWICE:
            self.passed_bytes += _count_bytes(args[0])
        return result


def _is_view(func: torch._ops.OpOverload) -> bool:
    """Tell whether a result aliases an argument without being written to."""
    returned = [value.alias_info for value in func._schema.returns]  # noqa: SLF001 - the schema has no public name
    return bool(returned) and all(info is not None and not info.is_write for info in returned)


def _count_bytes(values: Any) -> int:
    """Count the bytes of all tensors among values; one that is expanded has no more than it is stored in."""
    tensors = (value for value in tree_iter(values) if isinstance(value, torch.Tensor))
    return sum(min(tensor.nbytes, tensor.untyped_storage().nbytes()) for tensor in tensors)
