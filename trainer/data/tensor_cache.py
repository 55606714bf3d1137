"""Tensors on disk under a key that is made of what they were computed from: latents, text embeddings."""

import hashlib
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainer.atomic_files import writing_file
from trainer.errors import TrainerError

FORMAT = "1"  # changes with what is computed, so that older entries are not mistaken for it
MEMORY_BYTES = 2 * 2**30

Tensors = dict[str, torch.Tensor]


def make_key(*parts: str) -> str:
    """SHA-256 over the parts; two different lists of parts have different keys."""
    digest = hashlib.sha256(FORMAT.encode())
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TensorCache:
    """Entries in a folder, each whole or not there; those used last are kept in memory as well, up to a limit."""

    def __init__(self, folder: Path, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder, self._memory_bytes = folder, memory_bytes
        self._held: OrderedDict[str, Tensors] = OrderedDict()
        self._held_bytes = 0

    def find(self, key: str) -> Tensors | None:
        """None if there is no such entry, or it is damaged, and so has to be computed again."""
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        try:
            tensors = load_file(self._place(key))
        except (OSError, SafetensorError):
            return None
        self._hold(key, tensors)
        return tensors

    def get(self, key: str) -> Tensors:
        """Raises: TrainerError, if somebody deleted it meanwhile."""
        tensors = self.find(key)
        if tensors is None:
            raise TrainerError(f"{self._place(key)} is gone from the cache; start again, and it is computed anew")
        return tensors

    def put(self, key: str, tensors: Tensors) -> None:
        with writing_file(self._place(key)) as aside:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside)
        self._hold(key, tensors)

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _hold(self, key: str, tensors: Tensors) -> None:
        self._held[key] = tensors
        self._held_bytes += _count_bytes(tensors)
        while self._held_bytes > self._memory_bytes:
            _, dropped = self._held.popitem(last=False)
            self._held_bytes -= _count_bytes(dropped)


def _count_bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
