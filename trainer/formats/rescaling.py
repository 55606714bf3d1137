"""The same change to the model under another alpha."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from trainer.formats.adapter import Adapter
from trainer.formats.lora_set import LoraSet, get_alpha
from trainer.formats.peft_layout import read_peft, write_peft


def rescale_tensors(adapter: Adapter, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the adapter's tensors for a model whose scale is that of `config`: what alpha loses, the up matrix gains.

    Exact where the two scales differ by a power of two. LoKr is given back as it is.
    """
    if str(adapter.config.get("peft_type", "LORA")) != "LORA":
        return adapter.tensors
    lora = read_peft(adapter.tensors, {}, adapter.config)
    layers = []
    for layer in lora.layers:
        alpha = get_alpha(config, layer.name, layer.rank)
        layers.append(dataclasses.replace(layer, up=layer.up * (layer.alpha / alpha), alpha=alpha))
    return write_peft(LoraSet(layers)).tensors
