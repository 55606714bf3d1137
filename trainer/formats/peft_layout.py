"""The layout of peft: `base_model.model.<layer>.lora_A.weight`, the scale in a configuration beside."""

import re
from collections.abc import Mapping
from typing import Any

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter
from trainer.formats.lora_set import LoraLayer, LoraSet, derive_config, fits_config, get_alpha, place_layer

PREFIX = "base_model.model."
KEY = re.compile(r"base_model\.model\.(?P<path>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|lora_magnitude_vector)$")


def read_peft(tensors: Mapping[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]) -> LoraSet:
    """Read tensors in PEFT layout.

    Raises: AdapterUnusable, for what is no LoRA (LoKr, saved embeddings) or lacks a matrix.
    """
    if str(config.get("peft_type", "LORA")) != "LORA":
        raise AdapterUnusable(
            f"this adapter is {config['peft_type']}, which only peft's own layout can hold; use the file as it is with "
            "peft, or train with variant: lora for other programs"
        )
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.fullmatch(key)
        if match is None:
            raise AdapterUnusable(f"the tensor {key} is no LoRA matrix; only plain LoRA and DoRA change their layout")
        parts.setdefault(match["path"], {})[match["part"]] = tensor
    return LoraSet([_read_layer(path, found, config) for path, found in parts.items()], config, header)


def _read_layer(path: str, found: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> LoraLayer:
    if "lora_A.weight" not in found or "lora_B.weight" not in found:
        raise AdapterUnusable(f"{path} has only one of its two LoRA matrices; the file is damaged, fetch it again")
    down, up = found["lora_A.weight"], found["lora_B.weight"]
    component, place = place_layer(path)
    alpha = get_alpha(config, path, down.shape[0])
    return LoraLayer(component, place, down, up, alpha, found.get("lora_magnitude_vector"))


def write_peft(lora: LoraSet) -> Adapter:
    """Return the tensors and a configuration from which plain `peft` rebuilds the adapter."""
    tensors: dict[str, torch.Tensor] = {}
    for layer in lora.layers:
        stem = f"{PREFIX}{layer.name}"
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = layer.down, layer.up
        if layer.magnitude is not None:
            tensors[f"{stem}.lora_magnitude_vector"] = layer.magnitude
    config = lora.config if fits_config(lora.layers, lora.config) else derive_config(lora.layers)
    return Adapter(tensors, config, lora.header)
