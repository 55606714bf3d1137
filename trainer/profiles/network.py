"""The trained network of a base model on the meta device, and how a sample goes through it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pricing.catalog.profile import ModuleShape

Modules = dict[str, tuple[ModuleShape, ...]]


@dataclass(frozen=True)
class Network:
    """`run` takes the size n of one sample to the output before the head; `sizes` are the n to measure at.

    `counts_passes`: what its kernels beside products pass through memory is counted, too.
    """

    model: Any
    run: Callable[[int], torch.Tensor]
    sizes: Sequence[int]
    head: torch.nn.Linear | None = None
    counts_passes: bool = False

    def find_layers(self, targets: Sequence[str]) -> list[torch.nn.Linear]:
        """Find the linear layers that these names mean, by the whole path or its end."""
        wanted = tuple(f".{target}" for target in targets)
        return [layer for path, layer in self._list_linear() if f".{path}".endswith(wanted)]

    def list_layers(self) -> list[torch.nn.Linear]:
        """List every linear layer but the output head."""
        return [layer for _, layer in self._list_linear()]

    def list_modules(self) -> Modules:
        return list_modules(self._list_linear())

    def count_parameters(self) -> int:
        return count_parameters(self.model)

    def _list_linear(self) -> list[tuple[str, torch.nn.Linear]]:
        return list_linear(self.model, self.head)


def list_linear(model: torch.nn.Module, head: Any = None) -> list[tuple[str, torch.nn.Linear]]:
    named = model.named_modules()
    return [(path, layer) for path, layer in named if isinstance(layer, torch.nn.Linear) and layer is not head]


def list_modules(layers: Sequence[tuple[str, torch.nn.Linear]]) -> Modules:
    """Count the layers of each name and shape."""
    counts = Counter((shorten(path), layer.in_features, layer.out_features) for path, layer in layers)
    modules: Modules = {}
    for (name, inputs, outputs), count in counts.items():
        shape = ModuleShape(in_features=inputs, out_features=outputs, count=count)
        modules[name] = (*modules.get(name, ()), shape)
    return modules


def shorten(path: str) -> str:
    """Shorten a path to its last name, with the one before it where the last is a number."""
    head, _, last = path.rpartition(".")
    return f"{head.rpartition('.')[2]}.{last}" if last.isdigit() else last


def count_parameters(model: Any) -> int:
    """Count each parameter once, also where two layers share it."""
    return sum(parameter.numel() for parameter in model.parameters())
