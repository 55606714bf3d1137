"""An adapter of a pipeline as one for each of its parts."""

import re
from typing import Any

from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter
from trainer.formats.lora_set import LANGUAGE_MODEL, LoraLayer, LoraSet, derive_config, place_layer
from trainer.formats.peft_layout import read_peft, write_peft

LOKR_KEY = re.compile(r"base_model\.model\.(?P<path>.+)\.lokr_\w+")


def split_by_part(lora: LoraSet) -> dict[str, Adapter]:
    """An adapter for each part, named as if the part stood alone; every layer keeps its rank and alpha."""
    parts: dict[str, Adapter] = {}
    for component in lora.components:
        layers = [
            LoraLayer(LANGUAGE_MODEL, layer.path, layer.down, layer.up, layer.alpha, layer.magnitude)
            for layer in lora.layers
            if layer.component == component
        ]
        alone = LoraSet(layers, derive_config(layers) | {"task_type": None})
        parts[component] = write_peft(alone)
    return parts


def describe_parts(adapter: Adapter) -> dict[str, dict[str, Any]]:
    """What peft wants to know of each part's adapter, LoKr or LoRA. Raises: AdapterUnusable."""
    if str(adapter.config.get("peft_type", "LORA")) != "LOKR":
        by_part = split_by_part(read_peft(adapter.tensors, {}, adapter.config))
        return {part: alone.config for part, alone in by_part.items()}
    targets: dict[str, set[str]] = {}
    for key in adapter.tensors:
        match = LOKR_KEY.fullmatch(key)
        if match is None:
            raise AdapterUnusable(f"the tensor {key} is no LoKr matrix; fetch the file again")
        part, path = place_layer(match["path"])
        targets.setdefault(part, set()).add(path)
    return {part: {**adapter.config, "target_modules": sorted(paths)} for part, paths in targets.items()}
