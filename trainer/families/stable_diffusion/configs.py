"""The shapes of Stable Diffusion 1.5 and XL: the configurations that ship with us, fitted to the weights at hand."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from trainer.families.stable_diffusion.layout import (
    CLIP_PREFIXES,
    COMPONENTS,
    OPEN_CLIP_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
)

Kind = Literal["sd15", "sdxl"]
Shapes = Mapping[str, tuple[int, ...]]
Config = dict[str, Any]
HEAD_WIDTH = 64  # of SDXL's UNet and of both CLIPs
PIPELINES: dict[Kind, str] = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}


@cache
def _read(kind: Kind, component: str) -> str:
    return (files("trainer.families.stable_diffusion") / "sd_configs" / kind / f"{component}.json").read_text(
        encoding="utf-8"
    )


def get_config(kind: Kind, component: str) -> Config:
    """Return the published configuration of a component: unet, vae, text_encoder, text_encoder_2 (SDXL), scheduler."""
    return dict(json.loads(_read(kind, component)))


class NotThisArchitecture(ValueError):
    """The keys of a file are not those of SD 1.5 or SDXL; the message says what they look like and what to do."""


LOOKS_LIKE = (
    (r"lora_(down|up|A|B)\.", "an adapter, not a base model; name the base in base_model and this file in init_from"),
    (r"joint_blocks\.|double_blocks\.|transformer_blocks\.0\.attn\.add_q_proj", "SD 3 or FLUX"),
    (r"conditioner\.embedders\.0\.model\.", "the SDXL refiner; take the SDXL base"),
    (r"cond_stage_model\.model\.", "Stable Diffusion 2"),
    (r"down_blocks\.0\.", "one component of a diffusers folder; give the folder that holds model_index.json"),
)


def recognise(shapes: Shapes) -> Kind:
    """Tell which of the two an original-layout file holds. Raises: NotThisArchitecture."""
    has_unet = f"{UNET_PREFIX}input_blocks.0.0.weight" in shapes
    kind: Kind | None = None
    if has_unet and any(key.startswith(OPEN_CLIP_PREFIX) for key in shapes):
        kind = "sdxl"
    elif has_unet and any(key.startswith(CLIP_PREFIXES["sd15"]) for key in shapes):
        kind = "sd15"
    if kind is None:
        raise NotThisArchitecture(_describe_strange(shapes))
    inputs = shapes[f"{UNET_PREFIX}input_blocks.0.0.weight"][1]
    if inputs != 4:
        raise NotThisArchitecture(f"has a UNet with {inputs} input channels (inpainting or edit); take the plain model")
    return kind


def _describe_strange(shapes: Shapes) -> str:
    for pattern, what in LOOKS_LIKE:
        if any(re.search(pattern, key) for key in shapes):
            return f"looks like {what}; this trainer reads SD 1.5 and SDXL"
    known = ", ".join(sorted(shapes)[:3]) or "no tensor at all"
    return f"is neither SD 1.5 nor SDXL in their original layout (it has {known}, …)"


def derive_configs(kind: Kind, shapes: Shapes) -> dict[str, Config]:
    """Derive the configuration of each component: the published one, with widths and depths as the weights have them.

    Raises: NotThisArchitecture, if a weight is missing that says how wide a component is.
    """
    try:
        fitted = {
            "unet": _fit_unet(kind, shapes),
            "vae": _fit_vae(kind, shapes),
            "text_encoder": _fit_clip(kind, shapes),
            "text_encoder_2": _fit_open_clip(shapes) if kind == "sdxl" else {},
        }
    except KeyError as error:
        raise NotThisArchitecture(f"is incomplete: {error.args[0]} is missing; download the file again") from error
    return {component: get_config(kind, component) | fitted[component] for component in COMPONENTS[kind]}


def _fit_unet(kind: Kind, shapes: Shapes) -> Config:
    base = get_config(kind, "unet")
    blocks, levels = base["layers_per_block"] + 1, len(base["block_out_channels"])
    first = [f"{UNET_PREFIX}input_blocks.{blocks * level + 1}" for level in range(levels)]
    widths = [shapes[f"{name}.0.out_layers.3.weight"][0] for name in first]
    attended = next(level for level in range(levels) if "CrossAttn" in base["down_block_types"][level])
    key = f"{first[attended]}.1.transformer_blocks.0.attn2.to_k.weight"
    fitted: Config = {"block_out_channels": widths, "cross_attention_dim": shapes[key][1]}
    if kind == "sdxl":
        depths = [_count(shapes, f"{name}.1.transformer_blocks.") or 1 for name in first]
        fitted |= {
            "attention_head_dim": [max(width // HEAD_WIDTH, 1) for width in widths],
            "transformer_layers_per_block": depths,
            "projection_class_embeddings_input_dim": shapes[f"{UNET_PREFIX}label_emb.0.0.weight"][1],
        }
    return fitted


def _fit_vae(kind: Kind, shapes: Shapes) -> Config:
    levels = range(len(get_config(kind, "vae")["block_out_channels"]))
    return {"block_out_channels": [shapes[f"{VAE_PREFIX}encoder.down.{i}.block.0.conv1.weight"][0] for i in levels]}


def _fit_clip(kind: Kind, shapes: Shapes) -> Config:
    prefix = f"{CLIP_PREFIXES[kind]}text_model."
    vocabulary, width = shapes[f"{prefix}embeddings.token_embedding.weight"]
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "projection_dim": width,
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": shapes[f"{prefix}encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, f"{prefix}encoder.layers."),
    }


def _fit_open_clip(shapes: Shapes) -> Config:
    vocabulary, width = shapes[f"{OPEN_CLIP_PREFIX}token_embedding.weight"]
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "projection_dim": shapes[f"{OPEN_CLIP_PREFIX}text_projection"][1],
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": shapes[f"{OPEN_CLIP_PREFIX}transformer.resblocks.0.mlp.c_fc.weight"][0],
        "num_hidden_layers": _count(shapes, f"{OPEN_CLIP_PREFIX}transformer.resblocks."),
    }


def _count(shapes: Shapes, prefix: str) -> int:
    """Count the numbered blocks under a prefix."""
    return len(set(_numbers_after(shapes, prefix)))


def _numbers_after(shapes: Shapes, prefix: str) -> Iterator[str]:
    return (key.removeprefix(prefix).partition(".")[0] for key in shapes if key.startswith(prefix))
