"""The layout of diffusers: `unet.<layer>.lora_A.weight`, each model's configuration in the header; older forms read."""

import json
import re
from collections.abc import Mapping
from typing import Any

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.header_json import read_json
from trainer.formats.layer_parts import flatten_magnitude, flatten_peft_magnitude, put_together, read_alpha
from trainer.formats.lora_set import (
    LANGUAGE_MODEL,
    LoraLayer,
    LoraSet,
    derive_config,
    fits_config,
    get_alpha,
    place_layer,
    refuse_mixed_dora,
    shape_peft_magnitude,
    write_text_path,
)

METADATA = "lora_adapter_metadata"
FORMS = (  # newest first; the older ones are those of diffusers 0.18 to 0.22 and of its attention processors
    re.compile(r"(?P<path>.+)\.(?P<part>lora_A|lora_B)\.weight"),
    re.compile(r"(?P<path>.+)\.(?P<part>lora_down|lora_up)\.weight"),  # OneTrainer's own backup
    re.compile(r"(?P<path>.+)\.(?:lora|lora_linear_layer)\.(?P<part>down|up)\.weight"),
    re.compile(r"(?P<path>.+)\.processor\.(?P<projection>to_(?:q|k|v|out))_lora\.(?P<part>down|up)\.weight"),
    re.compile(r"(?P<path>.+)\.(?P<part>lora_magnitude_vector|dora_scale|alpha)(?:(?<=vector)\.weight)?"),
)
DOWN, UP, MAGNITUDE, ALPHA = "down", "up", "lora_magnitude_vector", "alpha"
SCALE = "dora_scale"

PARTS = {"lora_A": DOWN, "lora_B": UP, "lora_down": DOWN, "lora_up": UP}


def read_diffusers(tensors: Mapping[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]) -> LoraSet:
    """Read a file of diffusers. Without a configuration in the header the scale is 1, as diffusers reads it.

    Raises: AdapterUnusable.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        path, part = _read_key(key)
        parts.setdefault(path, {})[part] = tensor
    described = read_json(METADATA, header.get(METADATA, "{}"))
    layers = [_read_layer(path, found, described, config) for path, found in parts.items()]
    rest = {key: value for key, value in header.items() if key != METADATA}
    return LoraSet(layers, config if fits_config(layers, config) else {}, rest)


def _read_key(key: str) -> tuple[str, str]:
    for form in FORMS:
        match = form.fullmatch(key)
        if match is not None:
            found = match.groupdict()
            projection = {"to_out": "to_out.0"}.get(found.get("projection") or "", found.get("projection"))
            path = f"{found['path']}.{projection}" if projection else found["path"]
            return path, PARTS.get(found["part"], found["part"])
    raise AdapterUnusable(f"the tensor {key} is no LoRA matrix that diffusers knows")


def _read_layer(
    name: str, found: Mapping[str, torch.Tensor], described: Mapping[str, Any], beside: Mapping[str, Any]
) -> LoraLayer:
    component, path = place_layer(name)
    down, up = found.get(DOWN), found.get(UP)
    rank = down.shape[0] if down is not None and down.dim() else 1
    prefix = f"{component}." if component else ""
    config = {key.removeprefix(prefix): value for key, value in described.items() if key.startswith(prefix)}
    if component == LANGUAGE_MODEL:  # no program leaves a language model's scale unsaid
        config = config or dict(beside)
        if not config and ALPHA not in found:
            raise AdapterUnusable(f"{name}: nothing says its scale; put peft's adapter_config.json beside the file")
    alpha = read_alpha(name, found.get(ALPHA), default=get_alpha(config, path, rank))
    magnitude = flatten_peft_magnitude(name, found.get(MAGNITUDE), up)
    if SCALE in found:  # OneTrainer's, as LyCORIS has it
        magnitude = flatten_magnitude(name, found[SCALE], up)
    return put_together(name, down, up, alpha, magnitude)


def write_diffusers(lora: LoraSet) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return tensors and header of a file as `save_lora_weights` of diffusers writes them.

    Raises: AdapterUnusable, for layers of both LoRA and DoRA in one model.
    """
    refuse_mixed_dora(lora)
    tensors: dict[str, torch.Tensor] = {}
    for layer in lora.layers:
        path = write_text_path(layer.component, layer.path)
        stem = f"{layer.component}.{path}" if layer.component else path
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = layer.down, layer.up
        if layer.magnitude is not None:
            tensors[f"{stem}.lora_magnitude_vector"] = shape_peft_magnitude(layer)
    return tensors, {METADATA: json.dumps(_describe(lora), indent=2, sort_keys=True)}


def _describe(lora: LoraSet) -> dict[str, Any]:
    """Return the arguments of `LoraConfig` for each model of the pipeline, under its name."""
    described: dict[str, Any] = {}
    for component in lora.components:
        layers = [
            LoraLayer(LANGUAGE_MODEL, layer.path, layer.down, layer.up, layer.alpha, layer.magnitude)
            for layer in lora.layers
            if layer.component == component
        ]
        config = derive_config(layers) | {"task_type": None}
        prefix = f"{component}." if component else ""
        described |= {f"{prefix}{key}": value for key, value in config.items()}
    return described
