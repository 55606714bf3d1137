"""Trying an adapter out: the same base model with and without it."""

from pathlib import Path

from trainer.adapter_io import read_adapter
from trainer.config import BaseModelSource
from trainer.session import load_family


def answer(source: BaseModelSource, prompt: str, *, adapter: Path | None, max_new_tokens: int) -> str:
    """The greedy answer to one prompt. Raises: BadInput, AdapterUnusable."""
    family = load_family(source)
    if adapter is not None:
        read = read_adapter(adapter)
        family.apply_adapter(read.config, read.tensors)
    return family.complete(prompt, max_new_tokens=max_new_tokens)
