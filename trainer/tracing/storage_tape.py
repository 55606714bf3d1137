"""Recording which storages a program allocates and frees, in order: on the meta device, with fakes, or for real."""

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from trainer.tracing.caching_allocator import MemoryEvent

META = "meta"
INDEX = torch.ops.aten.index.Tensor
READ = torch.ops.aten._local_scalar_dense.default  # noqa: SLF001 - the operator behind `.item()`


class StorageTape(TorchDispatchMode):
    """Hears of every operation's results and notes the storages on one device that it has not met, and their end.

    What a kernel needs for itself alone is not seen. The meta device has no values: a number that is read off it is 1,
    a truth is false, and a mask that something is indexed by is true in `chosen` places.
    """

    def __init__(self, device: str, *, chosen: int = 0) -> None:
        super().__init__()
        self.events: list[MemoryEvent] = []
        self._device, self._chosen = device, chosen
        self._known: dict[int, int] = {}

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note storages that are there before the program runs: weights, an adapter."""
        for tensor in tensors:
            self._note(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if self._device == META and func is READ:
            return _stand_in_for(args[0])
        if self._device == META and func is INDEX:
            args = (args[0], [place for index in args[1] for place in self._list_places(index)], *args[2:])
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, torch.Tensor):
                self._note(value)
        return result

    def _list_places(self, index: torch.Tensor | None) -> list[torch.Tensor | None]:
        """Turn a mask into the places that it chooses, as an index by a mask does before it gathers."""
        if index is None or index.dtype is not torch.bool:
            return [index]
        places = index.new_empty(self._chosen, index.dim(), dtype=torch.long)
        self._note(places)
        return list(places.unbind(1))

    def _note(self, tensor: torch.Tensor) -> None:
        if tensor.device.type != self._device or tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - on the meta device every data_ptr is 0
        if key in self._known:
            return
        number = self._known[key] = len(self.events)
        self.events.append(MemoryEvent(number, storage.nbytes()))
        weakref.finalize(storage, self._forget, key).atexit = False

    def _forget(self, key: int) -> None:
        self.events.append(MemoryEvent(self._known.pop(key), None))


def _stand_in_for(tensor: torch.Tensor) -> bool | float:
    return False if tensor.dtype is torch.bool else 1.0
