"""What goes through the UNet in one step: pictures of one shape in a group, groups of different shapes in a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch

from trainer.families.stable_diffusion.clip_text import Caption, ClipTokenizer


@dataclass(frozen=True)
class ImageExample:
    """A picture of an epoch: the cache key of its latents, its caption, and its loss weight."""

    latents: str
    caption: Caption
    weight: float
    shape: tuple[int, int]  # height and width of the latents
    is_regularisation: bool = False

    @property
    def source(self) -> str | None:
        """The picture that this is a copy of; None for one that is never held out: it is not what is to be learnt."""
        return None if self.is_regularisation else self.latents

    def without_caption(self) -> Self:
        return replace(self, caption=ClipTokenizer.load().encode(""))


@dataclass(frozen=True)
class ImageGroup:
    """Pictures of one shape. latents and noise [n, 4, h, w]; timesteps and weights [n]; geometry [n, 6] (SDXL).

    Latents are scaled already. geometry: original height and width, crop top and left, target height and width.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    weights: torch.Tensor
    geometry: torch.Tensor
    captions: Sequence[Caption]


@dataclass(frozen=True)
class ImageBatch:
    """`tokens`: what the text encoder reads of the captions. `weight`: the pictures."""

    groups: Sequence[ImageGroup]
    tokens: int
    weight: float
