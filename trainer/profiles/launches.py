"""Counting the kernels that eager mode launches: operations that compute, not those that only look at a tensor anew."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias"})


class LaunchCounter(TorchDispatchMode):
    """`launches` counts operations that are neither views nor allocations. On the meta device nothing is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not _is_view(func) and func.overloadpacket.__name__ not in ALLOCATIONS:
            self.launches += 1
        return result


def _is_view(func: torch._ops.OpOverload) -> bool:
    """Tell whether a result aliases an argument without being written to."""
    returned = [value.alias_info for value in func._schema.returns]  # noqa: SLF001 - the schema has no public name
    return bool(returned) and all(info is not None and not info.is_write for info in returned)
