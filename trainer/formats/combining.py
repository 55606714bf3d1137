"""Several LoRAs into one, and one into a smaller rank: by the singular value decomposition of each layer's change."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trainer.errors import AdapterUnusable, BadInput
from trainer.formats.layer_parts import to_number_format
from trainer.formats.lora_set import LoraLayer, LoraSet


@dataclass(frozen=True)
class Weighted:
    """A LoRA, the factor it is taken with, and what to call it in messages."""

    lora: LoraSet
    weight: float
    name: str


@dataclass(frozen=True)
class Combined:
    """`kept` is the share of the squared norm of all changes that the rank has room for: 1.0 is lossless."""

    lora: LoraSet
    kept: float


def resize_lora(lora: LoraSet, rank: int) -> Combined:
    """Approximate each layer's change as well as `rank` allows; each layer keeps its scale.

    Source: Eckart and Young 1936. Raises: BadInput, if no layer has a higher rank; AdapterUnusable, for DoRA.
    """
    highest = max(layer.rank for layer in lora.layers)
    if rank >= highest:
        raise BadInput("--rank", f"the file has rank {highest} already; a resize goes down, to less than that")
    return _shrink_all([[layer] for layer in _refuse_dora(lora).layers], rank, header=lora.header)


def merge_loras(loras: Sequence[Weighted], rank: int) -> Combined:
    """Make one LoRA whose change is the weighted sum of theirs, as near as `rank` allows; its scale is 1.

    Raises: AdapterUnusable, for LoRAs of different base models or shapes, and for DoRA.
    """
    bases = {
        weighted.lora.header["base_model"]: weighted.name for weighted in loras if "base_model" in weighted.lora.header
    }
    if len(bases) > 1:
        told = "; ".join(f"{name} of {base}" for base, name in bases.items())
        raise AdapterUnusable(f"adapters of different base models cannot be merged: {told}")
    by_name: dict[str, list[LoraLayer]] = {}
    for weighted in loras:
        for layer in _refuse_dora(weighted.lora).layers:
            same = by_name.setdefault(layer.name, [])
            if same and _outer_shape(same[0]) != _outer_shape(layer):
                raise AdapterUnusable(f"{weighted.name}: {layer.name} has another shape than in the first file")
            same.append(dataclasses.replace(layer, alpha=layer.alpha * weighted.weight))
    header = {"merged_from": json.dumps([[weighted.name, weighted.weight] for weighted in loras])}
    header |= {"base_model": next(iter(bases))} if bases else {}
    return _shrink_all(list(by_name.values()), rank, header=header)


def compute_norm(layer: LoraLayer) -> float:
    """Compute the Frobenius norm of a layer's change, without ever forming it: ‖BA‖² = tr(BᵀB · AAᵀ)."""
    down, up = layer.down.double().flatten(1), layer.up.double().flatten(1)
    return abs(layer.scale) * float(((up.T @ up) * (down @ down.T)).sum().clamp(min=0).sqrt())


def _shrink_all(groups: list[list[LoraLayer]], rank: int, *, header: dict[str, str]) -> Combined:
    shrunk = [_shrink(group, rank) for group in groups]
    total = sum(float((values**2).sum()) for _, values in shrunk)
    kept = sum(float((values[: layer.rank] ** 2).sum()) for layer, values in shrunk)
    return Combined(LoraSet([layer for layer, _ in shrunk], {}, header), kept / total if total else 1.0)


def _shrink(group: list[LoraLayer], rank: int) -> tuple[LoraLayer, torch.Tensor]:
    """Make the sum of a group's changes one layer of at most `rank`; returns all its singular values, too.

    Works on the small factors only: with up = QᵤRᵤ and downᵀ = Q_d R_d the values are those of Rᵤ R_dᵀ.
    """
    first = group[0]
    scale = first.scale if len(group) == 1 and first.scale > 0 else 1.0
    up = torch.cat([layer.up.double().flatten(1) * (layer.scale / scale) for layer in group], dim=1)
    down = torch.cat([layer.down.double().flatten(1) for layer in group])
    q_up, r_up = torch.linalg.qr(up)
    q_down, r_down = torch.linalg.qr(down.T)
    change = r_up @ r_down.T
    if not bool(change.isfinite().all()):
        raise AdapterUnusable(f"{first.name}: its weighted change is beyond what a float holds; take smaller weights")
    left, values, right = torch.linalg.svd(change)
    rank = min(rank, len(values))
    root = values[:rank].sqrt()
    new_up = (q_up @ left[:, :rank] * root).to(to_number_format(first.up).dtype)
    new_down = (root[:, None] * right[:rank] @ q_down.T).to(to_number_format(first.down).dtype)
    new_up, new_down = new_up.reshape(-1, rank, *first.up.shape[2:]), new_down.reshape(rank, *first.down.shape[1:])
    layer = dataclasses.replace(first, up=new_up.contiguous(), down=new_down.contiguous(), alpha=scale * rank)
    return layer, values * scale


def _outer_shape(layer: LoraLayer) -> tuple[torch.Size, int]:
    return layer.down.shape[1:], layer.up.shape[0]


def _refuse_dora(lora: LoraSet) -> LoraSet:
    if any(layer.magnitude is not None for layer in lora.layers):
        raise AdapterUnusable(
            "the change of a DoRA depends on its base weights, so it can be neither merged nor resized"
        )
    return lora
