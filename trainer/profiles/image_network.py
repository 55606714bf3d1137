"""The trained network of an image model on the meta device: a UNet, or a transformer of FLUX or Stable Diffusion 3."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from trainer.base_models.diffusers_quiet import diffusers
from trainer.profiles.network import Network

Config = Mapping[str, Any]
SIZES = (1024, 4096, 9216, 16384)  # latent positions at 256, 512, 768 and 1024 px
TIME_IDS = 6  # SDXL is told the original size, the crop and the target size
PACKED = 4  # FLUX packs 2 x 2 latent positions into one token
CLIP_TOKENS, FLUX_TOKENS = 77, 512
# Tokens of the longest text encoder that is not CLIP's, where they are not FLUX's. Source: diffusers,
# StableDiffusion3Pipeline, whose captions are CLIP's 77 tokens and 256 of T5 beside them.
LONGEST_CAPTIONS = {"SD3Transformer2DModel": 256}


def build_image_network(config: Config) -> Network:
    """Build the network in 16 bit, frozen, in training mode. `config` is that of its diffusers class."""
    with torch.device("meta"):
        model = getattr(diffusers, config["_class_name"]).from_config(dict(config))
    model = model.to(torch.bfloat16).requires_grad_(requires_grad=False).train()
    return Network(model, RUNS[config["_class_name"]](model), SIZES, counts_passes=True)


def _draw(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, dtype=torch.bfloat16, device="meta")


def _run_unet(model: Any) -> Callable[[int], torch.Tensor]:
    config = model.config
    added = {}
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - TIME_IDS * config.addition_time_embed_dim
        added = {"text_embeds": _draw(1, pooled), "time_ids": _draw(1, TIME_IDS)}
    text = _draw(1, CLIP_TOKENS, config.cross_attention_dim)

    def run(positions: int) -> torch.Tensor:
        side = math.isqrt(positions)
        sample: torch.Tensor = model(
            _draw(1, config.in_channels, side, side), _draw(1), text, added_cond_kwargs=added, return_dict=False
        )[0]
        return sample

    return run


def _run_flux(model: Any) -> Callable[[int], torch.Tensor]:
    config, axes = model.config, len(model.config.axes_dims_rope)
    known = {"encoder_hidden_states": _draw(1, FLUX_TOKENS, config.joint_attention_dim), "timestep": _draw(1)}
    if "pooled_projection_dim" in config:
        known["pooled_projections"] = _draw(1, config.pooled_projection_dim)
    if config.guidance_embeds:
        known["guidance"] = _draw(1)

    def run(positions: int) -> torch.Tensor:
        tokens = positions // PACKED
        sample: torch.Tensor = model(
            _draw(1, tokens, config.in_channels),
            **known,
            img_ids=_draw(tokens, axes),
            txt_ids=_draw(FLUX_TOKENS, axes),
            return_dict=False,
        )[0]
        return sample

    return run


def _run_sd3(model: Any) -> Callable[[int], torch.Tensor]:
    config = model.config
    text = _draw(1, CLIP_TOKENS + LONGEST_CAPTIONS["SD3Transformer2DModel"], config.joint_attention_dim)
    pooled = _draw(1, config.pooled_projection_dim)

    def run(positions: int) -> torch.Tensor:
        side = math.isqrt(positions)
        latents = _draw(1, config.in_channels, side, side)
        sample: torch.Tensor = model(latents, text, pooled, _draw(1), return_dict=False)[0]
        return sample

    return run


RUNS: dict[str, Callable[[Any], Callable[[int], torch.Tensor]]] = {
    "UNet2DConditionModel": _run_unet,
    "FluxTransformer2DModel": _run_flux,
    "Flux2Transformer2DModel": _run_flux,
    "SD3Transformer2DModel": _run_sd3,
}
