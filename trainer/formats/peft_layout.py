"""The layout of peft: `base_model.model.<layer>.lora_A.weight`, the scale in a configuration beside."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter
from trainer.formats.layer_parts import flatten_peft_magnitude, put_together
from trainer.formats.lora_set import (
    LoraLayer,
    LoraSet,
    derive_config,
    fits_config,
    get_alpha,
    get_pattern,
    place_layer,
    refuse_mixed_dora,
    shape_peft_magnitude,
)

PREFIX = "base_model.model."
MAGNITUDE = "lora_magnitude_vector"
KEY = re.compile(
    r"base_model\.model\.(?P<path>.+)\."
    r"(?P<part>lora_A|lora_B|lora_magnitude_vector)(?:\.default)?(?:\.weight)?$"  # some keep the adapter's name
)
BESIDE = {  # what peft saves beside the matrices of linear layers
    "lora_embedding_": "a LoRA on an embedding",
    "modules_to_save": "a module that was trained whole (modules_to_save)",
    "trainable_tokens": "trained tokens of an embedding (trainable_token_indices)",
    ".lora_B.bias": "a bias of the LoRA itself (lora_bias)",
    ".bias": "a trained bias (bias: all or lora_only)",
    ".base_layer.": "a layer of the base model, saved with the adapter",
    "embed_tokens.weight": "the embedding, saved with the adapter",
    "lm_head.weight": "the output layer, saved with the adapter",
    "lokr_": "LoKr, which only peft's own layout can hold",
}

# What a configuration tells of, and what there would be of it in the file.
TRAINED_BESIDE = {
    "modules_to_save": "these modules",
    "trainable_token_indices": "these tokens",
    "lora_bias": "the matrices' biases",
}


def read_peft(tensors: Mapping[str, torch.Tensor], header: dict[str, str], config: dict[str, Any]) -> LoraSet:
    """Read tensors in PEFT layout.

    Raises: AdapterUnusable, for what is no LoRA (LoKr, saved embeddings), lacks a matrix, or has another rank than its
    configuration says.
    """
    if (kind := _name_kind(config)) != "LORA":
        raise AdapterUnusable(
            f"this adapter is {kind}, which only peft's own layout can hold; use the file as it is with "
            "peft, or train with variant: lora for other programs"
        )
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.fullmatch(key)
        if match is None:
            raise AdapterUnusable(
                f"the tensor {key} is {_describe_beside(key)}; only plain LoRA and DoRA change their layout"
            )
        parts.setdefault(match["path"], {})[match["part"]] = tensor
    return LoraSet([_read_layer(path, found, config) for path, found in parts.items()], config, header)


def refuse_missing_parts(tensors: Iterable[str], config: Mapping[str, Any]) -> None:
    """Refuse LoRA matrices whose configuration tells of more that was trained: without it they are another adapter.

    A file that has anything else is told of by that. Raises: AdapterUnusable.
    """
    found = [KEY.fullmatch(key) for key in tensors]
    if None in found:
        return
    for key, what in TRAINED_BESIDE.items():
        if config.get(key):
            raise AdapterUnusable(
                f"adapter_config says {key}: {config[key]!r}, and the file has nothing of {what}: part of what was "
                f"trained is missing; fetch the whole adapter, or take {key} out of adapter_config if the rest will do"
            )
    if config.get("use_dora"):
        _refuse_bare_layers({(match["path"], match["part"]) for match in found if match is not None})


def _refuse_bare_layers(parts: set[tuple[str, str]]) -> None:
    """Refuse layers without a magnitude where others of their model have one, or none at all has."""
    paths = sorted({path for path, _ in parts})
    magnified = {place_layer(path)[0] for path, part in parts if part == MAGNITUDE}
    bare = (path for path in paths if (path, MAGNITUDE) not in parts)
    missing = next((path for path in bare if not magnified or place_layer(path)[0] in magnified), None)
    if missing is not None:
        raise AdapterUnusable(
            f"adapter_config says use_dora, and {missing} has no {MAGNITUDE}: part of what was trained is missing; "
            "fetch the whole adapter"
        )


def _name_kind(config: Mapping[str, Any]) -> str:
    """Name the kind of adapter; older configurations have none, or peft's enumeration by its full name."""
    kind = config.get("peft_type") or "LORA"
    return str(getattr(kind, "value", kind)).rpartition(".")[2].upper()


def _describe_beside(key: str) -> str:
    return next((words for mark, words in BESIDE.items() if mark in key), "no LoRA matrix")


def _read_layer(path: str, found: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> LoraLayer:
    down, up = found.get("lora_A"), found.get("lora_B")
    rank = down.shape[0] if down is not None and down.dim() else 1
    said = get_pattern(config, "rank_pattern", path, config.get("r", rank))
    if down is not None and said != rank:
        raise AdapterUnusable(
            f"{path} has rank {rank}, and adapter_config says {said}: the two are of different trainings"
        )
    magnitude = flatten_peft_magnitude(path, found.get(MAGNITUDE), up)
    return put_together(path, down, up, get_alpha(config, path, rank), magnitude)


def write_peft(lora: LoraSet) -> Adapter:
    """Return the tensors and a configuration from which plain `peft` rebuilds the adapter.

    Raises: AdapterUnusable, for layers of both LoRA and DoRA in one model.
    """
    refuse_mixed_dora(lora)
    tensors: dict[str, torch.Tensor] = {}
    for layer in lora.layers:
        stem = f"{PREFIX}{layer.name}"
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = layer.down, layer.up
        if layer.magnitude is not None:
            tensors[f"{stem}.lora_magnitude_vector"] = shape_peft_magnitude(layer)
    config = lora.config if fits_config(lora.layers, lora.config) else derive_config(lora.layers)
    return Adapter(tensors, config, lora.header)
