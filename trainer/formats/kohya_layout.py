"""The layout of kohya's sd-scripts, which WebUI, ComfyUI and Forge load: `lora_unet_….lora_down.weight`, `.alpha`."""

import json
from collections.abc import Mapping
from typing import Any

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.header_json import read_json
from trainer.formats.kohya_names import compute_prefix, flatten_path, split_kohya_name, unflatten_path
from trainer.formats.layer_parts import flatten_magnitude, put_together, read_alpha
from trainer.formats.lora_set import (
    UNET,
    LoraLayer,
    LoraSet,
    fits_config,
    normalize_text_path,
    write_text_path,
)
from trainer.formats.model_version import is_sdxl
from trainer.formats.sgm_names import from_sgm, to_sgm

NAMES_IN_HEADER = "layer_names"  # those that cannot be read back from the flattened name
DOWN, UP, ALPHA, MAGNITUDE = "lora_down.weight", "lora_up.weight", "alpha", "dora_scale"
PARTS = {DOWN, UP, ALPHA, MAGNITUDE}


def read_kohya(tensors: Mapping[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]) -> LoraSet:
    """Read a file of sd-scripts.

    Raises: AdapterUnusable, for another kind of network (LoHa, LoKr, LoCon's mid matrix) or a missing matrix.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, part = key.partition(".")
        if part not in PARTS or split_kohya_name(name) is None:
            raise AdapterUnusable(f"the tensor {key} is of another kind of network; only LoRA and DoRA can be read")
        parts.setdefault(name, {})[part] = tensor
    known = read_json(NAMES_IN_HEADER, header.get(NAMES_IN_HEADER, "{}"))
    layers = [_read_layer(name, found, known) for name, found in parts.items()]
    rest = {key: value for key, value in header.items() if key != NAMES_IN_HEADER}
    return LoraSet(layers, config if fits_config(layers, config) else {}, rest)


def _read_layer(name: str, found: Mapping[str, torch.Tensor], known: Mapping[str, str]) -> LoraLayer:
    split = split_kohya_name(name)
    assert split is not None
    component, flat = split
    path = known.get(name) or _restore_path(component, flat)
    down, up = found.get(DOWN), found.get(UP)
    rank = float(down.shape[0]) if down is not None and down.dim() else 1.0  # as sd-scripts: no alpha is alpha = rank
    alpha = read_alpha(name, found.get(ALPHA), default=rank)
    magnitude = flatten_magnitude(name, found.get(MAGNITUDE), up)
    return put_together(name, down, up, alpha, magnitude, place=(component, path))


def _restore_path(component: str, flat: str) -> str:
    path = unflatten_path(flat)
    return from_sgm(path) if component == UNET else normalize_text_path(component, path)


def write_kohya(lora: LoraSet) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return tensors and header of a file of sd-scripts; names that cannot be read back go into the header."""
    sdxl = is_sdxl(lora)
    tensors: dict[str, torch.Tensor] = {}
    hard_names: dict[str, str] = {}
    for layer in lora.layers:
        path = to_sgm(layer.path) if sdxl and layer.component == UNET else write_text_path(layer.component, layer.path)
        name = compute_prefix(layer.component, two_encoders=sdxl) + flatten_path(path)
        if f"{name}.{DOWN}" in tensors:
            raise AdapterUnusable(f"two layers come to the name {name} in kohya's layout; keep the peft layout")
        tensors[f"{name}.{DOWN}"], tensors[f"{name}.{UP}"] = layer.down, layer.up
        tensors[f"{name}.{ALPHA}"] = torch.tensor(layer.alpha)
        if layer.magnitude is not None:
            tensors[f"{name}.{MAGNITUDE}"] = layer.magnitude.reshape(-1, *(1 for _ in layer.up.shape[1:]))
        if _restore_path(layer.component, flatten_path(path)) != layer.path:
            hard_names[name] = layer.path
    return tensors, {NAMES_IN_HEADER: json.dumps(hard_names, sort_keys=True)} if hard_names else {}
