"""Reading a LoRA of any layout: the layout is told by the names of its tensors."""

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.adapter import ADAPTER_FILE, CONFIG_FILE, Adapter
from trainer.formats.diffusers_layout import FORMS, read_diffusers
from trainer.formats.kohya_layout import read_kohya
from trainer.formats.kohya_names import split_kohya_name
from trainer.formats.lora_set import LoraSet
from trainer.formats.peft_layout import PREFIX, read_peft, write_peft
from trainer.formats.safe_file import read_safetensors


class Layout(StrEnum):
    """How a LoRA file names its tensors."""

    PEFT = "peft"
    KOHYA = "kohya"
    DIFFUSERS = "diffusers"


READERS: dict[Layout, Callable[[Mapping[str, torch.Tensor], dict[str, str], dict[str, Any]], LoraSet]] = {
    Layout.PEFT: read_peft,
    Layout.KOHYA: read_kohya,
    Layout.DIFFUSERS: read_diffusers,
}


def detect_layout(keys: Iterable[str]) -> Layout | None:
    """Find the layout whose form every tensor name has, or None."""
    keys = list(keys)
    if not keys:
        return None
    if all(key.startswith(PREFIX) for key in keys):
        return Layout.PEFT
    if all(split_kohya_name(key) is not None for key in keys):
        return Layout.KOHYA
    return Layout.DIFFUSERS if all(any(form.fullmatch(key) for form in FORMS) for key in keys) else None


def load_adapter_any(path: Path) -> Adapter:
    """Load a LoRA of any layout as an adapter in PEFT layout; `path` is a .safetensors file or the folder of one.

    Raises: AdapterUnusable.
    """
    tensors, header, config = _read_raw(path)
    if detect_layout(tensors) is Layout.PEFT and config:
        return Adapter(tensors, config, header)  # as it is, LoKr and saved modules with it
    return write_peft(_interpret(path, tensors, header, config)[0])


def read_lora(path: Path) -> tuple[LoraSet, Layout]:
    """Read a LoRA apart from its layout, and the layout it had. Raises: AdapterUnusable."""
    return _interpret(path, *_read_raw(path))


def _interpret(
    path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]
) -> tuple[LoraSet, Layout]:
    layout = detect_layout(tensors)
    if layout is None:
        some = ", ".join(sorted(tensors)[:3]) or "none at all"
        raise AdapterUnusable(f"{path} is no LoRA in the layout of peft, kohya or diffusers (its tensors: {some})")
    if layout is Layout.PEFT and not config:
        raise AdapterUnusable(f"{path} says no scale; put peft's {CONFIG_FILE} beside it")
    return READERS[layout](tensors, header, config), layout


def _read_raw(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str], dict[str, Any]]:
    file = get_file(path)
    tensors, header = read_safetensors(file)
    beside = file.with_name(CONFIG_FILE)
    written = header.get("adapter_config")
    try:
        if written is None and detect_layout(tensors) is Layout.PEFT and beside.is_file():
            written = beside.read_text(encoding="utf-8")
        config = json.loads(written or "{}")
    except ValueError as error:
        raise AdapterUnusable(f"the adapter_config of {path} is not JSON ({error}); fetch the file again") from error
    return tensors, header, config


def get_file(path: Path) -> Path:
    """Get the file: a folder stands for the one adapter file in it."""
    if not path.is_dir():
        return path
    if (path / ADAPTER_FILE).is_file():
        return path / ADAPTER_FILE
    found = sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        raise AdapterUnusable(f"{path} holds {len(found)} .safetensors files; give the path of the one that is meant")
    return found[0]
