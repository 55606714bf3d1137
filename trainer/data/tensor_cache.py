"""Tensors on disk under a key that is made of what they were computed from: latents, text embeddings."""

import hashlib
from pathlib import Path

import torch
from cachetools import LRUCache
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainer.atomic_files import writing_file
from trainer.errors import TrainerError

FORMAT = "1"  # changes with what is computed, so that older entries are not mistaken for it
MEMORY_BYTES = 2 * 2**30

Tensors = dict[str, torch.Tensor]


def make_key(*parts: str) -> str:
    """Hash the parts (SHA-256); two different lists of parts have different keys."""
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
        self.folder = folder
        self._held: LRUCache[str, Tensors] = LRUCache(memory_bytes, getsizeof=_count_bytes)

    def find(self, key: str) -> Tensors | None:
        """Look an entry up; None if there is none, or it is damaged, and so has to be computed again."""
        held = self._held.get(key)
        if held is not None:
            return held
        try:
            tensors = load_file(self._place(key))
        except (OSError, SafetensorError):
            return None
        self._hold(key, tensors)
        return tensors

    def get(self, key: str) -> Tensors:
        """Look up an entry that was put. Raises: TrainerError, if somebody deleted it meanwhile."""
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
        if _count_bytes(tensors) <= self._held.maxsize:  # a larger entry is on disk alone
            self._held[key] = tensors


def _count_bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
