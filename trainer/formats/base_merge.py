"""An adapter melted into its base model: the folder's weight files are rewritten one by one, no model is built."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from trainer.atomic_files import sync, writing_folder
from trainer.errors import AdapterUnusable, BadInput
from trainer.formats.combining import Weighted
from trainer.formats.lora_set import COMPONENTS, LANGUAGE_MODEL, LoraLayer
from trainer.formats.safe_file import UNSAFE_SUFFIXES, map_safetensors

PLAIN_FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
LEFT_OUT = UNSAFE_SUFFIXES | {".py"}  # neither pickles nor code go into the new folder


@dataclass(frozen=True)
class Change:
    """What is added to a layer's weight, `factor` times. `transposed`: the base keeps it as [in, out]."""

    layer: LoraLayer
    factor: float
    transposed: bool


Changes = dict[tuple[str, str], list[Change]]


def merge_into_base(base: Path, loras: list[Weighted], output: Path) -> int:
    """Write a copy of the model folder `base` with the LoRAs added to its weights; returns the changed layers.

    The weights keep their data type; sums are made in fp32. `output` appears whole or not at all.
    Raises: BadInput, AdapterUnusable (another base model, DoRA).
    """
    if output.exists():
        raise BadInput("--output", f"{output} is there already; name another folder")
    changes = _list_changes(loras)
    _refuse_tied_head(base, changes)
    found: set[tuple[str, str]] = set()
    with writing_folder(output) as aside:
        for file in sorted(path for path in base.rglob("*") if path.is_file()):
            target = aside / file.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".safetensors":
                found |= _rewrite(file, target, _name_component(base, file), changes)
            elif file.suffix not in LEFT_OUT:
                shutil.copyfile(file, target)
            if target.is_file():
                sync(target)
        if missing := changes.keys() - found:
            raise AdapterUnusable(
                f"{base} has no layer {min(name for _, name in missing)}: the adapter is of another base model"
            )
    return len(changes)


def _list_changes(loras: list[Weighted]) -> Changes:
    changes: Changes = {}
    for weighted in loras:
        for layer in weighted.lora.layers:
            if layer.magnitude is not None:
                raise AdapterUnusable(
                    f"{weighted.name} is a DoRA, which this command cannot merge; use peft's merge_and_unload"
                )
            transposed = bool(weighted.lora.config.get("fan_in_fan_out"))  # GPT-2's layers are [in, out]
            changes.setdefault((layer.component, layer.path), []).append(Change(layer, weighted.weight, transposed))
    return changes


def _name_component(base: Path, file: Path) -> str:
    """Name the component that a weight file is of: in a pipeline's folder each has a folder of its own."""
    top = file.relative_to(base).parts[0]
    return top if top in COMPONENTS else LANGUAGE_MODEL


def _rewrite(file: Path, target: Path, component: str, changes: Changes) -> set[tuple[str, str]]:
    """Write a weight file with its changes to `target`; returns the layers that were changed in it."""
    tensors, header = map_safetensors(file)
    found = set()
    for name in list(tensors):
        for key in _list_layer_names(component, name):
            for change in changes.get(key, ()):
                tensors[name] = _add_change(tensors[name], change)
                found.add(key)
    save_file(tensors, target, metadata=header)
    return found


def _list_layer_names(component: str, tensor: str) -> Iterable[tuple[str, str]]:
    """List the names that the layer of a weight may have: text encoders were saved with and without an inner
    `text_model`.
    """
    if not tensor.endswith(".weight"):
        return ()
    layer = tensor.removesuffix(".weight")
    return {(component, name) for name in (layer, layer.removeprefix("text_model."), f"text_model.{layer}")}


def _add_change(weight: torch.Tensor, wanted: Change) -> torch.Tensor:
    layer = wanted.layer
    change = layer.up.float().flatten(1) @ layer.down.float().flatten(1)
    if weight.dtype not in PLAIN_FLOATS:
        raise AdapterUnusable(f"{layer.name} is {weight.dtype} in this base model; take one that is not quantized")
    change = change.T if wanted.transposed else change
    if change.shape != weight.flatten(1).shape:
        raise AdapterUnusable(
            f"{layer.name} is {list(weight.shape)} in this base model, and the adapter is for {list(change.shape)}: it "
            "is of another one"
        )
    return (weight.float() + wanted.factor * layer.scale * change.reshape(weight.shape)).to(weight.dtype)


def _refuse_tied_head(base: Path, open_layers: Iterable[tuple[str, str]]) -> None:
    """Refuse an adapter on an output layer that is the embedding as well: adding to it would change both.

    Raises: AdapterUnusable.
    """
    config = base / "config.json"
    if not config.is_file() or not json.loads(config.read_text(encoding="utf-8")).get("tie_word_embeddings"):
        return
    for _, name in open_layers:
        if name.rpartition(".")[2] in {"lm_head", "embed_tokens", "wte"}:
            raise AdapterUnusable(
                f"{name} has an adapter, and in {base} output layer and embedding are one tensor (tie_word_embeddings):"
                " merged, it would change both. Use the adapter beside the base"
            )
