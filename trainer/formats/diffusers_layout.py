"""The layout of diffusers: `unet.<layer>.lora_A.weight`, each model's configuration in the header; older forms read."""

import json
import re
from collections.abc import Mapping
from typing import Any

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.lora_set import (
    LANGUAGE_MODEL,
    LoraLayer,
    LoraSet,
    derive_config,
    fits_config,
    get_alpha,
    place_layer,
    write_text_path,
)

METADATA = "lora_adapter_metadata"
FORMS = (  # newest first; the older ones are those of diffusers 0.18 to 0.22 and of its attention processors
    re.compile(r"(?P<path>.+)\.(?P<part>lora_A|lora_B)\.weight"),
    re.compile(r"(?P<path>.+)\.(?:lora|lora_linear_layer)\.(?P<part>down|up)\.weight"),
    re.compile(r"(?P<path>.+)\.processor\.(?P<projection>to_(?:q|k|v|out))_lora\.(?P<part>down|up)\.weight"),
    re.compile(r"(?P<path>.+)\.(?P<part>lora_magnitude_vector|alpha)"),
)
DOWN, UP, MAGNITUDE, ALPHA = "down", "up", "lora_magnitude_vector", "alpha"


def read_diffusers(tensors: Mapping[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]) -> LoraSet:
    """Read a file of diffusers. Without a configuration in the header the scale is 1, as diffusers reads it.

    Raises: AdapterUnusable.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        path, part = _read_key(key)
        parts.setdefault(path, {})[part] = tensor
    described: dict[str, Any] = json.loads(header.get(METADATA, "{}"))
    layers = [_read_layer(path, found, described) for path, found in parts.items()]
    rest = {key: value for key, value in header.items() if key != METADATA}
    return LoraSet(layers, config if fits_config(layers, config) else {}, rest)


def _read_key(key: str) -> tuple[str, str]:
    for form in FORMS:
        match = form.fullmatch(key)
        if match is not None:
            found = match.groupdict()
            projection = {"to_out": "to_out.0"}.get(found.get("projection") or "", found.get("projection"))
            path = f"{found['path']}.{projection}" if projection else found["path"]
            return path, {"lora_A": DOWN, "lora_B": UP}.get(found["part"], found["part"])
    raise AdapterUnusable(f"the tensor {key} is no LoRA matrix that diffusers knows")


def _read_layer(name: str, found: Mapping[str, torch.Tensor], described: Mapping[str, Any]) -> LoraLayer:
    if DOWN not in found or UP not in found:
        raise AdapterUnusable(f"{name} has only one of its two LoRA matrices; the file is damaged, fetch it again")
    component, path = place_layer(name)
    rank = found[DOWN].shape[0]
    prefix = f"{component}." if component else ""
    config = {key.removeprefix(prefix): value for key, value in described.items() if key.startswith(prefix)}
    alpha = float(found[ALPHA]) if ALPHA in found else get_alpha(config, path, rank)
    return LoraLayer(component, path, found[DOWN], found[UP], alpha, found.get(MAGNITUDE))


def write_diffusers(lora: LoraSet) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return tensors and header of a file as `save_lora_weights` of diffusers writes them."""
    tensors: dict[str, torch.Tensor] = {}
    for layer in lora.layers:
        path = write_text_path(layer.component, layer.path)
        stem = f"{layer.component}.{path}" if layer.component else path
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = layer.down, layer.up
        if layer.magnitude is not None:
            tensors[f"{stem}.lora_magnitude_vector"] = layer.magnitude
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
