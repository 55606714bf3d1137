"""The finished adapter: one `.safetensors` in PEFT layout whose header says all that is needed to rebuild it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pricing.estimate.training_config import PATH_KEYS, TrainingConfig
from trainer import __version__
from trainer.atomic_files import writing_file
from trainer.errors import AdapterUnusable

ADAPTER_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"  # the names that peft looks for


@dataclass(frozen=True)
class Adapter:
    """LoRA weights by PEFT name, peft's configuration, and the header (strings, as safetensors has them)."""

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    header: dict[str, str]


def write_adapter(folder: Path, adapter: Adapter) -> Path:
    """Write the adapter and, beside it, peft's `adapter_config.json`, each whole or not at all; returns the former."""
    header = {"format": "pt", **adapter.header, "adapter_config": json.dumps(adapter.config, sort_keys=True)}
    with writing_file(folder / CONFIG_FILE) as aside:
        aside.write_text(json.dumps(adapter.config, indent=2, sort_keys=True), encoding="utf-8")
    with writing_file(folder / ADAPTER_FILE) as aside:
        save_file(adapter.tensors, aside, metadata=header)
    return folder / ADAPTER_FILE


def describe_training(config: TrainingConfig, *, base_model: str, steps: int, tokens: int) -> dict[str, str]:
    """The header of a finished adapter: base model, training configuration, steps and tokens trained, version."""
    return {
        "base_model": base_model,
        "training_config": config.model_dump_json(exclude=set(PATH_KEYS)),
        "steps": str(steps),
        "tokens": str(tokens),
        "trainer_version": __version__,
    }


def read_adapter(file: Path) -> Adapter:
    """Read an adapter and its header. Raises: AdapterUnusable."""
    try:
        with safe_open(file, framework="pt") as opened:
            header = dict(opened.metadata() or {})
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise AdapterUnusable(f"{file} is no .safetensors file that can be read ({error})") from error
    if "adapter_config" not in header:
        raise AdapterUnusable(f"{file} has no adapter_config in its header, so it was not written by this trainer")
    return Adapter(tensors, json.loads(header["adapter_config"]), header)
