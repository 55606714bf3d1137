"""The finished adapter: one `.safetensors` in PEFT layout whose header says all that is needed to rebuild it."""

import json
from collections.abc import Mapping
from pathlib import Path

from pricing.training.config import PATH_KEYS, TrainingConfig
from trainer import __version__
from trainer.errors import AdapterUnusable
from trainer.formats.adapter import ADAPTER_FILE, Adapter
from trainer.formats.adapter_pair import write_pair
from trainer.formats.peft_layout import read_peft
from trainer.formats.safe_file import read_safetensors
from trainer.formats.writing import complete_header


def write_adapter(folder: Path, adapter: Adapter) -> Path:
    """Write the adapter and, beside it, peft's `adapter_config.json`, as one pair; returns the former."""
    header = {**adapter.header, "adapter_config": json.dumps(adapter.config, sort_keys=True), "format": "pt"}
    header = _add_sd_scripts_header(adapter, header, folder.name)
    write_pair(folder, adapter.tensors, header, adapter.config)
    return folder / ADAPTER_FILE


def _add_sd_scripts_header(adapter: Adapter, header: dict[str, str], output_name: str) -> dict[str, str]:
    try:
        lora = read_peft(
            adapter.tensors, header, json.loads(header["adapter_config"])
        )  # plain strings for peft's enums
    except AdapterUnusable:  # LoKr and others have no counterpart in networks.lora
        return header
    return complete_header(header, lora, adapter.tensors, output_name=output_name)


def describe_training(
    config: TrainingConfig, *, base_model: str, steps: int, tokens: int, facts: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write the header of a finished adapter: base model, training configuration, steps and tokens trained, version.

    `facts` are further strings, of which some are also told to sd-scripts' readers: see `trainer.formats.header`.
    """
    return {
        "base_model": base_model,
        "training_config": config.model_dump_json(exclude=set(PATH_KEYS)),
        "steps": str(steps),
        "tokens": str(tokens),
        "trainer_version": __version__,
        **(facts or {}),
    }


def read_adapter(file: Path) -> Adapter:
    """Read an adapter and its header. Raises: AdapterUnusable."""
    tensors, header = read_safetensors(file)
    if "adapter_config" not in header:
        raise AdapterUnusable(
            f"{file} has no adapter_config in its header, so it was not written by this trainer; "
            "`trainer export --format peft` reads the other layouts"
        )
    return Adapter(tensors, json.loads(header["adapter_config"]), header)
