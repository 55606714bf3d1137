"""An adapter of a pipeline as one for each of its components."""

import re
from typing import Any

from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter
from trainer.formats.lora_set import LANGUAGE_MODEL, LoraLayer, LoraSet, derive_config, place_layer
from trainer.formats.peft_layout import read_peft, write_peft

LOKR_KEY = re.compile(r"base_model\.model\.(?P<path>.+)\.lokr_\w+")


def split_by_component(lora: LoraSet) -> dict[str, Adapter]:
    """Make an adapter for each component, named as if there were no other; every layer keeps its rank and alpha."""
    adapters: dict[str, Adapter] = {}
    for component in lora.components:
        layers = [
            LoraLayer(LANGUAGE_MODEL, layer.path, layer.down, layer.up, layer.alpha, layer.magnitude)
            for layer in lora.layers
            if layer.component == component
        ]
        own = LoraSet(layers, derive_config(layers) | {"task_type": None})
        adapters[component] = write_peft(own)
    return adapters


def describe_components(adapter: Adapter) -> dict[str, dict[str, Any]]:
    """Return peft's configuration of each component's adapter, LoKr or LoRA. Raises: AdapterUnusable."""
    if str(adapter.config.get("peft_type", "LORA")) != "LOKR":
        adapters = split_by_component(read_peft(adapter.tensors, {}, adapter.config))
        return {component: own.config for component, own in adapters.items()}
    targets: dict[str, set[str]] = {}
    for key in adapter.tensors:
        match = LOKR_KEY.fullmatch(key)
        if match is None:
            raise AdapterUnusable(f"the tensor {key} is no LoKr matrix; fetch the file again")
        component, path = place_layer(match["path"])
        targets.setdefault(component, set()).add(path)
    return {component: {**adapter.config, "target_modules": sorted(paths)} for component, paths in targets.items()}
