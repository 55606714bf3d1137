"""A LoRA apart from any layout: for each layer its two matrices and its scale."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from trainer.errors import AdapterUnusable

UNET, TEXT_ENCODER, TEXT_ENCODER_2, LANGUAGE_MODEL = "unet", "text_encoder", "text_encoder_2", ""
COMPONENTS = (UNET, TEXT_ENCODER, TEXT_ENCODER_2)
PEFT_DEFAULT = 8  # of `r` and `lora_alpha`, where a configuration leaves them out
PLAIN_PATTERN = re.compile(r"[\w.]+")
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

    Without a configuration alpha is the rank: the scale is 1. Raises: AdapterUnusable.
    """
    if not config:
        return float(rank)
    alpha = get_pattern(config, "alpha_pattern", name, config.get("lora_alpha", PEFT_DEFAULT))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise AdapterUnusable(f"adapter_config says alpha {alpha!r} for {name}; it should be a number")
    return float(alpha) * math.sqrt(rank) if config.get("use_rslora") else float(alpha)


def get_pattern(config: Mapping[str, Any], key: str, name: str, default: Any) -> Any:
    """Get what a pattern of peft's configuration says of a layer: the first that matches counts.

    A pattern is a regular expression for the end of the name, from its beginning or a dot on.
    Source: peft, `get_pattern_key`. Raises: AdapterUnusable.
    """
    patterns = config.get(key) or {}
    if not isinstance(patterns, dict):
        raise AdapterUnusable(f"{key} in adapter_config is no object of patterns")
    for pattern, value in patterns.items():
        try:
            if _matches(pattern, name):
                return value
        except re.error as error:
            raise AdapterUnusable(f"{key} in adapter_config: {pattern!r} is no regular expression ({error})") from error
    return default


def _matches(pattern: str, name: str) -> bool:
    """Match a pattern with the end of a name. Where every layer has a rank of its own there are as many patterns as
    layers, each the name of one: most of those are told apart by their length and their last word.
    """
    whole, last_word = _compile(pattern)
    if last_word is not None:
        before = len(name) - len(pattern)
        if before < 0 or (before and name[before - 1] != ".") or not name.endswith(last_word):
            return False
    return whole.match(name) is not None


@lru_cache(maxsize=16384)
def _compile(pattern: str) -> tuple[re.Pattern[str], str | None]:
    """Compile a pattern of peft, with its last word where nothing in it but a dot stands for another character."""
    whole = re.compile(rf"(.*\.)?({pattern})$")
    return whole, pattern.rpartition(".")[2] if PLAIN_PATTERN.fullmatch(pattern) else None


def shape_peft_magnitude(layer: LoraLayer) -> torch.Tensor:
    """Shape DoRA's magnitude as peft keeps it: [out], and of a convolution [1, out, 1, 1]."""
    assert layer.magnitude is not None, "asked of a DoRA only"
    dimensions = layer.up.dim() - 2
    return layer.magnitude.reshape(1, -1, *(1 for _ in range(dimensions))) if dimensions else layer.magnitude


def find_mixed_dora(lora: LoraSet) -> tuple[LoraLayer, LoraLayer] | None:
    """Find a DoRA and a plain LoRA among the layers of one model; None where each model is of one kind."""
    for component in lora.components:
        layers = [layer for layer in lora.layers if layer.component == component]
        dora = next((layer for layer in layers if layer.magnitude is not None), None)
        plain = next((layer for layer in layers if layer.magnitude is None), None)
        if dora is not None and plain is not None:
            return dora, plain
    return None


def refuse_mixed_dora(lora: LoraSet) -> None:
    """Refuse a model of whose layers some are DoRA and some LoRA: peft, and diffusers with it, take all for one of the
    two, and a layer without its magnitude for a DoRA of another one. Raises: AdapterUnusable.
    """
    mixed = find_mixed_dora(lora)
    if mixed is not None:
        raise AdapterUnusable(
            f"{mixed[0].name} is a DoRA and {mixed[1].name} a plain LoRA, and peft and diffusers take all layers of a "
            "model for one of the two; only the kohya layout holds both"
        )


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
        "rank_pattern": {name_pattern(layer): layer.rank for layer in layers if layer.rank != rank},
        "alpha_pattern": {name_pattern(layer): _plain_number(layer.alpha) for layer in layers if layer.alpha != alpha},
        "target_modules": sorted({layer.target for layer in layers}),
        "use_dora": any(layer.magnitude is not None for layer in layers),
        "use_rslora": False,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


def name_pattern(layer: LoraLayer) -> str:
    """Name a layer as a pattern that matches it: its dots match themselves, whatever stands beside it."""
    return layer.name if PLAIN_PATTERN.fullmatch(layer.name) else re.escape(layer.name)


def _plain_number(alpha: float) -> int | float:
    return int(alpha) if alpha.is_integer() else alpha
