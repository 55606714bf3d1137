"""A dispatch mode that holds a computation to one device, and counts where the host would wait for it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
# What answers with a number of the host, or with a shape that depends on numbers of the device.
WAITS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten._unique2.default,
}
OF_A_CPU = ("mkldnn", "onednn", "quantized")


class MixedDevices(AssertionError):
    pass


class OneDevice(TorchDispatchMode):
    """Refuses operators that mix devices (a tensor without dimensions may be of the CPU) or are there for a CPU only.

    `waits` counts what a GPU's host would wait for: numbers and shapes that are read off the device, and copies to the
    CPU. The device has no values: a number that is read is 1, a truth is false, and a copy is of noughts.
    """

    def __init__(self, device: str = "meta") -> None:
        super().__init__()
        self.device, self.waits = device, Counter[str]()
        self.operators = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.operators += 1
        tensors = list(_list_tensors((args, kwargs)))
        is_here = any(tensor.device.type == self.device for tensor in tensors)
        if is_here and func.namespace in OF_A_CPU:
            raise MixedDevices(f"{func} is for a CPU only")
        if is_here and self._waits_for(func, tensors, kwargs or {}):
            self.waits[str(func)] += 1
            return self._stand_in(func, args, kwargs or {})
        devices = {tensor.device.type for tensor in tensors if tensor.dim()}
        if func not in COPIES and len(devices) > 1:
            raise MixedDevices(f"{func} mixes {', '.join(sorted(devices))}")
        return func(*args, **(kwargs or {}))

    def _waits_for(self, func: Any, tensors: list[torch.Tensor], kwargs: Mapping[str, Any]) -> bool:
        if func is aten._to_copy.default:
            return str(kwargs.get("device", self.device)).startswith("cpu")
        if func is aten.copy_.default:
            return tensors[0].device.type == "cpu"
        if func is aten.index.Tensor:
            return any(tensor.dtype is torch.bool for tensor in tensors[1:])
        return func in WAITS

    def _stand_in(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if func is aten._local_scalar_dense.default:
            return False if args[0].dtype is torch.bool else 1.0
        if func is aten.copy_.default:
            return args[0]
        if func is aten._to_copy.default:
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        raise MixedDevices(f"{func} has a shape that depends on numbers of the device")


def _list_tensors(values: Any) -> Iterator[torch.Tensor]:
    return (value for value in tree_iter(values) if isinstance(value, torch.Tensor))
