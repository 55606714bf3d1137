"""Writing a LoRA in one of the layouts, with its header, whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from trainer.atomic_files import writing_file
from trainer.formats.adapter import ADAPTER_FILE
from trainer.formats.adapter_pair import write_pair
from trainer.formats.diffusers_layout import write_diffusers
from trainer.formats.header import describe_for_sd_scripts, hash_like_sd_scripts
from trainer.formats.kohya_layout import write_kohya
from trainer.formats.layer_parts import refuse_not_finite
from trainer.formats.lora_set import LoraSet, find_mixed_dora
from trainer.formats.peft_layout import write_peft
from trainer.formats.reading import Layout

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def write_lora(file: Path, lora: LoraSet, layout: Layout, *, dtype: torch.dtype | None = None) -> Path:
    """Write `lora` to `file` in a layout, its matrices in `dtype` (as they are, if None); returns the file.

    Under the name that peft looks for its `adapter_config.json` is written beside. Raises: AdapterUnusable, for what
    `dtype` cannot hold.
    """
    tensors, own_header = lay_out(lora, layout)
    tensors = {name: _to_dtype(tensor, dtype) for name, tensor in tensors.items()}
    if dtype is not None:
        refuse_not_finite(f"in {str(dtype).removeprefix('torch.')}, which is too narrow for it", tensors)
    header = complete_header({**lora.header, **own_header}, lora, tensors, output_name=file.stem)
    if layout is Layout.PEFT and file.name == ADAPTER_FILE:
        write_pair(file.parent, tensors, header, json.loads(header["adapter_config"]))
    else:
        save_atomically(file, tensors, header)
    return file


def lay_out(lora: LoraSet, layout: Layout) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors under their names in a layout, and what the layout wants in the header."""
    if layout is Layout.KOHYA and find_mixed_dora(lora) is not None:
        return write_kohya(lora)  # which no configuration of peft could describe
    adapter = write_peft(lora)
    config = {"adapter_config": json.dumps(adapter.config, sort_keys=True)}
    if layout is Layout.PEFT:
        return adapter.tensors, config
    tensors, header = (write_kohya if layout is Layout.KOHYA else write_diffusers)(lora)
    return tensors, {**config, **header}


def complete_header(
    header: Mapping[str, str], lora: LoraSet, tensors: Mapping[str, torch.Tensor], *, output_name: str
) -> dict[str, str]:
    """Complete our header by the `ss_…` strings of sd-scripts, and its two hashes over the tensors as they will be
    written.
    """
    told = {**header, **describe_for_sd_scripts(lora, output_name=output_name), "format": "pt"}
    return {**told, **hash_like_sd_scripts(tensors, told)}


def save_atomically(file: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str]) -> None:
    with writing_file(file) as aside:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside, metadata=header)


def _to_dtype(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    return tensor if dtype is None or tensor.dim() == 0 else tensor.to(dtype)  # alpha stays exact
