"""An adapter melted into its base model: the folder's weight files are rewritten one by one, no model is built."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from trainer.atomic_files import sync, writing_folder
from trainer.errors import AdapterUnusable, BadInput
from trainer.formats.combining import Weighted
from trainer.formats.lora_set import COMPONENTS, LANGUAGE_MODEL, LoraLayer
from trainer.formats.safe_file import UNSAFE_SUFFIXES, read_safetensors

LEFT_OUT = UNSAFE_SUFFIXES | {".py"}  # neither pickles nor code go into the new folder


def merge_into_base(base: Path, loras: list[Weighted], output: Path) -> int:
    """Write a copy of the model folder `base` with the LoRAs added to its weights; returns the changed layers.

    The weights keep their data type; sums are made in fp32. `output` appears whole or not at all.
    Raises: BadInput, AdapterUnusable (another base model, DoRA).
    """
    if output.exists():
        raise BadInput("--output", f"{output} is there already; name another folder")
    open_layers = _list_changes(loras)
    changed = len(open_layers)
    with writing_folder(output) as aside:
        for file in sorted(path for path in base.rglob("*") if path.is_file()):
            target = aside / file.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".safetensors":
                _rewrite(file, target, _name_component(base, file), open_layers)
            elif file.suffix not in LEFT_OUT:
                shutil.copyfile(file, target)
            if target.is_file():
                sync(target)
        if open_layers:
            raise AdapterUnusable(
                f"{base} has no layer {min(name for _, name in open_layers)}: the adapter is of another base model"
            )
    return changed


def _list_changes(loras: list[Weighted]) -> dict[tuple[str, str], list[tuple[LoraLayer, float]]]:
    changes: dict[tuple[str, str], list[tuple[LoraLayer, float]]] = {}
    for weighted in loras:
        for layer in weighted.lora.layers:
            if layer.magnitude is not None:
                raise AdapterUnusable(
                    f"{weighted.name} is a DoRA, which this command cannot merge; use peft's merge_and_unload"
                )
            changes.setdefault((layer.component, layer.path), []).append((layer, weighted.weight))
    return changes


def _name_component(base: Path, file: Path) -> str:
    """Name the component that a weight file is of: in a pipeline's folder each has a folder of its own."""
    top = file.relative_to(base).parts[0]
    return top if top in COMPONENTS else LANGUAGE_MODEL


def _rewrite(
    file: Path, target: Path, component: str, open_layers: dict[tuple[str, str], list[tuple[LoraLayer, float]]]
) -> None:
    tensors, header = read_safetensors(file)
    for name in list(tensors):
        for key in _list_layer_names(component, name):
            for layer, weight in open_layers.pop(key, []):
                tensors[name] = _add_change(tensors[name], layer, weight)
    save_file(tensors, target, metadata=header)


def _list_layer_names(component: str, tensor: str) -> Iterator[tuple[str, str]]:
    """List the names that the layer of a weight may have: text encoders were saved with and without an inner
    `text_model`.
    """
    if tensor.endswith(".weight"):
        layer = tensor.removesuffix(".weight")
        yield component, layer
        yield component, layer.removeprefix("text_model.")
        yield component, f"text_model.{layer}"


def _add_change(weight: torch.Tensor, layer: LoraLayer, factor: float) -> torch.Tensor:
    change = layer.up.float().flatten(1) @ layer.down.float().flatten(1)
    if change.numel() != weight.numel():
        raise AdapterUnusable(f"{layer.name} has another shape in this base model: the adapter is of another one")
    return (weight.float() + factor * layer.scale * change.view_as(weight)).to(weight.dtype)
