"""A LoRA apart from any layout: for each layer its two matrices and its scale."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

UNET, TEXT_ENCODER, TEXT_ENCODER_2, LANGUAGE_MODEL = "unet", "text_encoder", "text_encoder_2", ""
COMPONENTS = (UNET, TEXT_ENCODER, TEXT_ENCODER_2)
SAME_ALPHA = 1e-3  # relative: alpha stands in some files in 16 bit


@dataclass(frozen=True)
class LoraLayer:
    """One adapted layer: its weight changes by `alpha / rank * up @ down`.

    `component` is the model of a pipeline ("" where there is only one), `path` the layer in it as diffusers and
    transformers name it. down: [rank, in, ...], up: [out, rank, ...]; DoRA's magnitude: [out].
    """

    component: str
    path: str
    down: torch.Tensor
    up: torch.Tensor
    alpha: float
    magnitude: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def name(self) -> str:
        """Its name in PEFT layout: a UNet's layers have no model's name before them, so that peft finds them on one."""
        if self.component in {UNET, LANGUAGE_MODEL}:
            return self.path
        return f"{self.component}.{write_text_path(self.component, self.path)}"

    @property
    def target(self) -> str:
        """What names it among `target_modules`: the end of its name in its own model."""
        return self.path.removeprefix("text_model.")


@dataclass(frozen=True)
class LoraSet:
    """All layers of one LoRA; `config` is peft's, where the file had one, `header` the strings beside the tensors."""

    layers: list[LoraLayer]
    config: dict[str, Any] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)

    @property
    def components(self) -> list[str]:
        return sorted({layer.component for layer in self.layers})


def place_layer(path: str) -> tuple[str, str]:
    """Split a layer's dotted name into component and path, with or without the component in front."""
    head, _, rest = path.partition(".")
    if head in COMPONENTS:
        return head, normalize_text_path(head, rest)
    if head in {"down_blocks", "mid_block", "up_blocks", "time_embedding", "add_embedding", "conv_in", "conv_out"}:
        return UNET, path
    if head == "text_model":
        return TEXT_ENCODER, normalize_text_path(TEXT_ENCODER, path)
    return LANGUAGE_MODEL, path


def normalize_text_path(component: str, path: str) -> str:
    """Return the name of a text encoder's layer as transformers has it now.

    CLIPTextModel lost its inner `text_model` in transformers 5.6, CLIPTextModelWithProjection kept it.
    """
    bare = path.removeprefix("text_model.")
    if component == TEXT_ENCODER_2 and bare.startswith(("encoder.", "embeddings.")):
        return f"text_model.{bare}"
    return bare if component == TEXT_ENCODER else path


def write_text_path(component: str, path: str) -> str:
    """Return the name of a layer in files: there a text encoder's layers always lie in `text_model`."""
    if component == TEXT_ENCODER and path.startswith(("encoder.", "embeddings.")):
        return f"text_model.{path}"
    return path


def get_alpha(config: Mapping[str, Any], name: str, rank: int) -> float:
    """Get the alpha that peft gives a layer, as the numerator of `alpha / rank` (so rsLoRA's is alpha · √rank).

    Source: peft's `get_pattern_key`: a pattern matches the end of the name at a dot, or all of it after `^`.
    """
    alpha = float(_get_pattern(config.get("alpha_pattern") or {}, name, config.get("lora_alpha", rank)))
    return alpha * math.sqrt(rank) if config.get("use_rslora") else alpha


def _get_pattern(patterns: Mapping[str, Any], name: str, default: Any) -> Any:
    for pattern, value in patterns.items():
        literal = pattern.removeprefix("^").replace("\\.", ".").removesuffix("$")
        if name == literal or (not pattern.startswith("^") and name.endswith(f".{literal}")):
            return value
    return default


def fits_config(layers: Iterable[LoraLayer], config: Mapping[str, Any]) -> bool:
    """Tell whether peft's configuration still gives each layer the alpha that stands in the file."""
    if not config:
        return False
    return all(
        math.isclose(get_alpha(config, layer.name, layer.rank), layer.alpha, rel_tol=SAME_ALPHA) for layer in layers
    )


def derive_config(layers: list[LoraLayer]) -> dict[str, Any]:
    """Derive a configuration for peft from nothing but the layers: the commonest rank and alpha, the others as
    patterns.
    """
    rank = Counter(layer.rank for layer in layers).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers).most_common(1)[0][0]
    language = all(layer.component == LANGUAGE_MODEL for layer in layers)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if language else None,
        "r": rank,
        "lora_alpha": _plain_number(alpha),
        "rank_pattern": {layer.name: layer.rank for layer in layers if layer.rank != rank},
        "alpha_pattern": {layer.name: _plain_number(layer.alpha) for layer in layers if layer.alpha != alpha},
        "target_modules": sorted({layer.target for layer in layers}),
        "use_dora": any(layer.magnitude is not None for layer in layers),
        "use_rslora": False,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


def _plain_number(alpha: float) -> int | float:
    return int(alpha) if alpha.is_integer() else alpha
