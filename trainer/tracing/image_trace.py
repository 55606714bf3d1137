"""A Stable Diffusion of our trainer on the meta device: the UNet, its adapter and a batch, without weights."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pricing.training.config import TrainingConfig
from trainer.base_models.diffusers_quiet import diffusers
from trainer.families.stable_diffusion.batch import ImageBatch, ImageGroup
from trainer.families.stable_diffusion.clip_text import Caption
from trainer.families.stable_diffusion.configs import Config, Kind, get_config
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.families.stable_diffusion.text_encoders import TextEmbedding
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.profiles.image_network import CLIP_TOKENS, TIME_IDS
from trainer.tracing.memory_trace import TracedStep
from trainer.tracing.storage_tape import META


@dataclass(frozen=True)
class UNetShape(BaseWeights):
    """A base model of which there is the UNet's configuration alone."""

    device: str = META

    @classmethod
    def of(cls, kind: Kind, unet: Config, device: str) -> "UNetShape":
        return cls(Path(), kind, {"unet": unet}, get_config(kind, "scheduler"), device)

    def load(self, component: str) -> torch.nn.Module:
        with torch.device(self.device):
            model: torch.nn.Module = diffusers.UNet2DConditionModel.from_config(dict(self.configs[component]))
        return model.requires_grad_(requires_grad=False).eval()


class CachedPictures(StableDiffusion):
    """The family as it trains on cached latents and embeddings; these have shapes, but were never computed."""

    def _embedding_of(self, captions: Sequence[Caption]) -> TextEmbedding:
        unet = self.base.configs["unet"]
        hidden = torch.zeros(len(captions), CLIP_TOKENS, unet["cross_attention_dim"], device=self.device)
        return TextEmbedding(hidden, torch.zeros(len(captions), _count_pooled(unet), device=self.device))

    def _autocast(self) -> AbstractContextManager[Any]:
        return super()._autocast() if self.device.type != META else nullcontext()


def prepare_pictures(
    kind: Kind,
    unet: Mapping[str, Any],
    config: TrainingConfig,
    *,
    samples: int,
    positions: int,
    checkpointing: bool,
    device: str = META,
) -> TracedStep:
    """Prepare a step of `samples` square pictures of so many latent positions."""
    family = CachedPictures(UNetShape.of(kind, dict(unet), device), config, torch.device(device))
    family.attach_adapter(config)
    if checkpointing:
        family.recompute_activations()
    group = _draw_group(unet, samples, math.isqrt(positions), device)
    batch = ImageBatch([group], tokens=0, weight=float(samples))
    tensors = [value for value in vars(group).values() if isinstance(value, torch.Tensor)]
    return TracedStep(family, config, batch, tensors)


def _draw_group(unet: Mapping[str, Any], samples: int, side: int, device: str) -> ImageGroup:
    with torch.device(device):
        latents = torch.zeros(samples, unet["in_channels"], side, side)
        return ImageGroup(
            latents=latents,
            noise=torch.zeros_like(latents),
            timesteps=torch.zeros(samples, dtype=torch.long),
            weights=torch.ones(samples),
            geometry=torch.zeros(samples, TIME_IDS),
            captions=[Caption(())] * samples,
        )


def _count_pooled(unet: Mapping[str, Any]) -> int:
    """Count the width of SDXL's pooled embedding; SD 1.5 has none."""
    if unet.get("addition_embed_type") != "text_time":
        return 0
    return int(unet["projection_class_embeddings_input_dim"]) - TIME_IDS * int(unet["addition_time_embed_dim"])
