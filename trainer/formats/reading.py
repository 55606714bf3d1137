"""Reading a LoRA of any layout: the layout is told by the names of its tensors."""

import dataclasses
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
from trainer.formats.layer_parts import refuse_not_finite, to_number_format
from trainer.formats.lora_set import LoraSet
from trainer.formats.native_names import rename_native
from trainer.formats.other_kinds import refuse_other_configs, refuse_other_kinds, refuse_other_models
from trainer.formats.peft_layout import KEY, PREFIX, read_peft, refuse_missing_parts, write_peft
from trainer.formats.safe_file import read_safetensors
from trainer.formats.strange_layers import refuse_strange_layers

SCALE_KEYS = ("peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora")


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

    Its tensors are in a format that models compute in. Raises: AdapterUnusable, also for NaN and infinite weights.
    """
    tensors, header, config = _read_raw(path)
    refuse_not_finite(path, tensors)
    if detect_layout(tensors) is Layout.PEFT and config:
        _refuse_others(path, tensors, config, lokr_is_ours=True)
        adapter = Adapter({_name_in_peft(name): value for name, value in tensors.items()}, config, header)
    else:
        adapter = write_peft(_interpret(path, tensors, header, config)[0])
    tensors = {name: to_number_format(tensor) for name, tensor in adapter.tensors.items()}
    return dataclasses.replace(adapter, tensors=tensors)


def read_lora(path: Path) -> tuple[LoraSet, Layout]:
    """Read a LoRA apart from its layout, and the layout it had. Raises: AdapterUnusable, also for NaN."""
    tensors, header, config = _read_raw(path)
    refuse_not_finite(path, tensors)
    return _interpret(path, tensors, header, config)


def read_lora_as_it_is(path: Path) -> tuple[LoraSet, Layout]:
    """Read a LoRA to look at it: its weights may be NaN. Raises: AdapterUnusable."""
    return _interpret(path, *_read_raw(path))


def _interpret(
    path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]
) -> tuple[LoraSet, Layout]:
    layout = detect_layout(tensors)
    _refuse_others(path, tensors, config, lokr_is_ours=layout is Layout.PEFT)
    if layout is None:
        some = ", ".join(sorted(tensors)[:3]) or "none at all"
        raise AdapterUnusable(f"{path} is no LoRA in the layout of peft, kohya or diffusers (its tensors: {some})")
    if layout is Layout.PEFT and not config:
        raise AdapterUnusable(f"{path} says no scale; put peft's {CONFIG_FILE} beside it")
    lora = READERS[layout](tensors, header, config)
    refuse_strange_layers(path, lora)
    return lora, layout


def _refuse_others(
    path: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], *, lokr_is_ours: bool
) -> None:
    refuse_other_configs(path, config)
    refuse_missing_parts(tensors, config)
    refuse_other_kinds(path, tensors, lokr_is_ours=lokr_is_ours)
    refuse_other_models(path, tensors)


def _name_in_peft(key: str) -> str:
    """Name a tensor as peft saves it: without the adapter's own name, which some programs leave in."""
    match = KEY.fullmatch(key)
    if match is None or not match["part"]:
        return key
    end = "" if match["part"] == "lora_magnitude_vector" else ".weight"
    return f"{PREFIX}{match['path']}.{match['part']}{end}"


def _read_raw(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str], dict[str, Any]]:
    file = get_file(path)
    tensors, header = read_safetensors(file)
    tensors = rename_native(tensors)
    written = header.get("adapter_config")
    is_pair = file.name == ADAPTER_FILE or (written is None and detect_layout(tensors) is not Layout.KOHYA)
    beside = _read_beside(file) if is_pair else None  # else it is another file's
    try:
        config = json.loads(written or beside or "{}")
        told_beside = json.loads(beside or "{}")
    except (ValueError, RecursionError) as error:
        raise AdapterUnusable(f"the adapter_config of {path} is not JSON ({error}); fetch the file again") from error
    if not isinstance(config, dict) or not isinstance(told_beside, dict):
        raise AdapterUnusable(f"the adapter_config of {path} is no JSON object; fetch the file again")
    for key in SCALE_KEYS if written is not None and beside is not None else ():
        if (config.get(key) or None) != (told_beside.get(key) or None):
            raise AdapterUnusable(
                f"{path} and the {CONFIG_FILE} beside it are of different trainings: {key} is {config.get(key)!r} in "
                f"the file's header and {told_beside.get(key)!r} beside it; put the two of one training together"
            )
    return tensors, header, config


def _read_beside(file: Path) -> str | None:
    beside = file.with_name(CONFIG_FILE)
    try:
        return beside.read_text(encoding="utf-8") if beside.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise AdapterUnusable(f"{beside} cannot be read ({error}); fetch it again") from error


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
