"""The components of an image model that do not train: what the VAE and the text encoders cost."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from pricing.catalog.profile import Curve
from trainer.base_models.diffusers_quiet import diffusers, transformers
from trainer.profiles.attention import MEASURED, measured_attention
from trainer.profiles.curves import fit_curve
from trainer.profiles.image_network import CLIP_TOKENS, FLUX_TOKENS, SIZES
from trainer.profiles.launches import LaunchCounter

Config = Mapping[str, Any]
CLIP_MODEL = "clip_text_model"
PIXELS_PER_POSITION = 8


def build_vae(config: Config) -> Any:
    with torch.device("meta"):
        return getattr(diffusers, config["_class_name"]).from_config(dict(config)).eval()


def build_text_encoder(config: Config) -> Any:
    """Build the class that its configuration names first; no code of a model folder is run."""
    model_class = getattr(transformers, config["architectures"][0])
    with torch.device("meta"):
        return model_class._from_config(  # noqa: SLF001 - a class as such has no public way from a configuration
            model_class.config_class(**config), attn_implementation=MEASURED
        ).eval()


def measure_encoding(vae: Any) -> Curve:
    """Measure the FLOPs of encoding one image, by latent positions."""
    return fit_curve(SIZES, [_count_encoding(vae, positions) for positions in SIZES])


def _count_encoding(vae: Any, positions: int) -> int:
    with FlopCounterMode(display=False) as counter:
        _encode(vae, positions)
    return counter.get_total_flops()


def _encode(vae: Any, positions: int) -> None:
    side = PIXELS_PER_POSITION * math.isqrt(positions)
    with torch.no_grad(), measured_attention():
        vae.encode(torch.empty(1, 3, side, side, device="meta"))


def count_text_flops(encoders: Iterable[Any], longest: int = FLUX_TOKENS) -> int:
    """Count the FLOPs of reading one caption, filled up to the length that the model is trained with."""
    return sum(_count_reading(encoder, caption_tokens(encoder.config, longest)) for encoder in encoders)


def count_encoding_launches(vae: Any) -> int:
    """Count the kernels that encode the pictures of a micro-batch, all at once."""
    with LaunchCounter() as counter:
        _encode(vae, SIZES[0])
    return counter.launches


def count_text_launches(encoders: Iterable[Any]) -> int:
    """Count the kernels that read the captions of a micro-batch."""
    with LaunchCounter() as counter:
        for encoder in encoders:
            _read(encoder, caption_tokens(encoder.config))
    return counter.launches


def _count_reading(encoder: Any, tokens: int) -> int:
    with FlopCounterMode(display=False) as counter:
        _read(encoder, tokens)
    return counter.get_total_flops()


def _read(encoder: Any, tokens: int) -> None:
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    mask = torch.zeros(1, 1, tokens, tokens, dtype=torch.bool, device="meta")
    body = encoder.get_decoder() if hasattr(encoder, "lm_head") else encoder
    with torch.no_grad(), measured_attention():
        body(input_ids=ids, attention_mask=mask)


def caption_tokens(config: Any, longest: int = FLUX_TOKENS) -> int:
    return CLIP_TOKENS if config.model_type == CLIP_MODEL else longest
