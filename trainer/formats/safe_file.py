"""Opening a file that came from elsewhere: only safetensors, never a pickle."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load

from trainer.errors import AdapterUnusable

UNSAFE_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"})
PICKLE, ZIP = b"\x80", b"PK\x03\x04"  # how torch.save's files begin, before and since torch 1.6
LENGTH = 8  # bytes before the header of a safetensors file
LONGEST_HEADER = 100_000_000  # what safetensors itself reads


def read_safetensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read all tensors and the header into memory of their own.

    Tensors of a mapped file change with it, and end the process where it becomes shorter: a server keeps adapters whose
    files people copy over. Raises: AdapterUnusable, if it is unsafe, no safetensors, or cannot be read.
    """
    refuse_unsafe(file)
    try:
        content = file.read_bytes()
        found = load(content)  # in no order of its own
    except (OSError, SafetensorError) as error:
        raise AdapterUnusable(f"{file} is no .safetensors file that can be read ({error})") from error
    header = json.loads(content[LENGTH : LENGTH + int.from_bytes(content[:LENGTH], "little")])
    metadata = header.pop("__metadata__", None) or {}
    return {name: found[name] for name in header}, dict(metadata)


def map_safetensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Map all tensors of a base model's file, which may be larger than memory, and read its header.

    Raises: AdapterUnusable, if it is unsafe, no safetensors, or cannot be read.
    """
    refuse_unsafe(file)
    try:
        with safe_open(file, framework="pt") as opened:
            header = dict(opened.metadata() or {})
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise AdapterUnusable(f"{file} is no .safetensors file that can be read ({error})") from error
    return tensors, header


def refuse_unsafe(file: Path) -> None:
    """Refuse a pickle, by its name or by its first bytes. Raises: AdapterUnusable."""
    if file.suffix.lower() in UNSAFE_SUFFIXES or _starts_as_pickle(file):
        raise AdapterUnusable(
            f"{file} is a pickle, and opening one can run any code that its author put in, so it is not opened; get "
            "the .safetensors file of the same model, or convert it where no harm can be done: "
            "torch.load(…, weights_only=True), then safetensors.torch.save_file"
        )


def _starts_as_pickle(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            start = opened.read(LENGTH + 1)
    except OSError:
        return False  # said when it is read
    if start[LENGTH:] == b"{" and int.from_bytes(start[:LENGTH], "little") <= LONGEST_HEADER:
        return False  # safetensors, whole or cut off: the low byte of its length may be 0x80 as well
    return start.startswith((PICKLE, ZIP))
