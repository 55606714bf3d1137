"""An adapter in memory, in PEFT layout."""

from dataclasses import dataclass
from typing import Any

import torch

ADAPTER_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"  # the names that peft looks for


@dataclass(frozen=True)
class Adapter:
    """LoRA weights by PEFT name, peft's configuration, and the header (strings, as safetensors has them)."""

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    header: dict[str, str]
