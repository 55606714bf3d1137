"""Counting what a forward pass keeps for the backward pass, and how much less it keeps with checkpointing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

Storages = dict[int, torch.UntypedStorage]  # by address; held, so that none is counted under another's address


class SavedTape:
    """The storages that autograd keeps, each once, less those of the model itself.

    `kept` are all of them; `checkpointed` those that stay with checkpointing: the inputs of its parts, and what lies
    outside of them. `largest_part` is the most bytes that one part keeps beyond its inputs.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._own = {_identify(parameter) for parameter in model.parameters()}
        self._outside: Storages = {}
        self._inside: Storages = {}
        self._inputs: Storages = {}
        self.largest_part = 0

    @contextmanager
    def record(self) -> Iterator[None]:
        with self._record_into(self._outside):
            yield

    @property
    def kept(self) -> Storages:
        return self._outside | self._inside

    @property
    def checkpointed(self) -> Storages:
        return self._outside | self._inputs

    def run_part(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Run a checkpointed function and count it by itself, in place of `torch.utils.checkpoint.checkpoint`."""
        inputs = {_identify(argument): argument.untyped_storage() for argument in _list_tensors(arguments)}
        inside: Storages = {}
        with self._record_into(inside):
            result = function(*arguments, **options)
        self._inputs |= inputs
        self._inside |= inside
        own = {key: storage for key, storage in inside.items() if key not in inputs}
        self.largest_part = max(self.largest_part, count_bytes(own))
        return result

    @contextmanager
    def _record_into(self, storages: Storages) -> Iterator[None]:
        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if (key := _identify(tensor)) not in self._own:
                storages[key] = tensor.untyped_storage()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            yield


def count_bytes(storages: Storages) -> int:
    return sum(storage.nbytes() for storage in storages.values())


def _identify(tensor: torch.Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - on the meta device every data_ptr is 0
    return address


def _list_tensors(arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    return [argument for argument in arguments if isinstance(argument, torch.Tensor)]
