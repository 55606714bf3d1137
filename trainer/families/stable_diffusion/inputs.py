"""Pictures and captions computed once, before training: latents and text embeddings, kept on disk by content."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pricing.datasets.text_rows import RowFinding
from pricing.training.buckets import Bucket, choose_bucket
from pricing.training.config import TrainingConfig
from trainer.data.image_dataset import ImageRow
from trainer.data.images import ImageUnusable, open_image
from trainer.data.smart_crop import fit_to_bucket
from trainer.data.tensor_cache import TensorCache, hash_file, make_key
from trainer.families.stable_diffusion.clip_text import Caption
from trainer.families.stable_diffusion.text_encoders import embed_captions
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.log import write_line
from trainer.machine.transfer import bring

CAPTIONS_AT_ONCE = 16
ENLARGED = 2  # changes with how small pictures are enlarged: what an older way made is made anew
PIXELS_AT_ONCE = 8 * 512 * 512  # through the VAE in fp32: about 8 GB of activations
SECONDS_BETWEEN_WORDS = 10


@dataclass(frozen=True)
class FittedPicture:
    """A picture on its bucket: pixels [3, height, width] and the numbers that SDXL is told; `key` is its cache key."""

    row: ImageRow
    key: str
    bucket: Bucket
    pixels: torch.Tensor
    geometry: torch.Tensor


class LatentEncoder:
    """Turns pictures into latents with a VAE in fp32 (in fp16 SDXL's overflows), some of one bucket at once."""

    def __init__(
        self,
        cache: TensorCache,
        config: TrainingConfig,
        resolution: int,
        vae: Any,
        vae_key: str,
        device: torch.device,
    ) -> None:
        self._cache, self._resolution, self._vae, self._vae_key = cache, resolution, vae, vae_key
        self._flip, self._keep_aspect = config.flip, config.aspect_buckets
        self._device = device

    def choose_bucket(self, row: ImageRow) -> Bucket:
        return choose_bucket(*row.size, self._resolution, keep_aspect=self._keep_aspect)

    def choose_batch(self, bucket: Bucket) -> int:
        """Choose how many pictures go through the VAE at once: on a CPU one, whose latents depend on no other."""
        if self._device.type == "cpu":
            return 1
        return max(1, PIXELS_AT_ONCE // (bucket.width * bucket.height * (2 if self._flip else 1)))

    def make_key(self, row: ImageRow) -> str:
        """Make the cache key of the row's latents. Raises: ImageUnusable."""
        bucket = self.choose_bucket(row)
        try:
            content = hash_file(row.path)
        except OSError as error:
            raise ImageUnusable(f"cannot be read ({error.strerror}); give it read permission") from error
        facts: dict[str, Any] = {"bucket": [bucket.width, bucket.height], "flip": self._flip, "vae": self._vae_key}
        if bucket.width > row.size[0] or bucket.height > row.size[1]:
            facts["enlarged"] = ENLARGED
        return make_key("latents", content, json.dumps(facts))

    def has(self, key: str) -> bool:
        return self._cache.find(key) is not None

    def fit(self, row: ImageRow, key: str) -> FittedPicture:
        """Read a picture and fit it to its bucket. Raises: ImageUnusable."""
        picture, bucket = open_image(row.path), self.choose_bucket(row)
        fitted = fit_to_bucket(picture, bucket)
        geometry = [picture.height, picture.width, fitted.top, fitted.left, bucket.height, bucket.width]
        pixels = to_pixels(fitted.picture)
        return FittedPicture(row, key, bucket, pixels, torch.tensor(geometry, dtype=torch.float32))

    def encode(self, pictures: Sequence[FittedPicture]) -> None:
        """Keep mean and logarithm of the variance of the latents [2·channels, h, w] of pictures of one bucket, of the
        mirrored pictures too.
        """
        pixels = bring(torch.stack([picture.pixels for picture in pictures]), self._device)
        views = torch.cat([pixels, pixels.flip(-1)]) if self._flip else pixels
        with torch.inference_mode():
            moments = self._vae.encode(views).latent_dist.parameters.cpu()
        for place, picture in enumerate(pictures):
            tensors = {"moments": moments[place].clone(), "geometry": picture.geometry}
            if self._flip:
                tensors["mirrored"] = moments[len(pictures) + place].clone()
            self._cache.put(picture.key, tensors)


def to_pixels(picture: Image.Image) -> torch.Tensor:
    """Turn a picture into a tensor [3, height, width], from -1 to 1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


def collect_latents(rows: Sequence[ImageRow], encoder: LatentEncoder) -> tuple[dict[Path, str], list[RowFinding]]:
    """Collect the key of each picture, and those pictures that turned out to be unusable when they were decoded."""
    keys: dict[Path, str] = {}
    findings = []
    waiting: dict[Bucket, list[FittedPicture]] = {}
    last_word = time.monotonic()
    for row in rows:
        if time.monotonic() - last_word > SECONDS_BETWEEN_WORDS:
            last_word = time.monotonic()
            write_line(f"reading pictures: {len(keys)} of {len(rows)}")
        try:
            key = encoder.make_key(row)
            if not encoder.has(key):
                _line_up(encoder.fit(row, key), waiting, encoder)
        except ImageUnusable as error:
            findings.append(RowFinding(row.name, 1, str(error), reason=error.reason))
        else:
            keys[row.path] = key
    for pictures in waiting.values():
        encoder.encode(pictures)
    return keys, findings


def _line_up(picture: FittedPicture, waiting: dict[Bucket, list[FittedPicture]], encoder: LatentEncoder) -> None:
    """Line a picture up with others of its bucket, and encode them once they are enough."""
    same = waiting.setdefault(picture.bucket, [])
    same.append(picture)
    if len(same) >= encoder.choose_batch(picture.bucket):
        encoder.encode(waiting.pop(picture.bucket))


def make_embedding_key(caption: Caption, encoders_key: str, clip_skip: int) -> str:
    return make_key("text", json.dumps(caption.token_ids), encoders_key, str(clip_skip))


def embed_once(
    base: BaseWeights,
    cache: TensorCache,
    captions: Iterable[Caption],
    encoders: Any,
    *,
    encoders_key: str,
    clip_skip: int,
    device: torch.device,
) -> None:
    """Put the embedding of each caption into the cache, unless it is there."""
    wanted = {make_embedding_key(caption, encoders_key, clip_skip): caption for caption in captions}
    missing = [(key, caption) for key, caption in wanted.items() if cache.find(key) is None]
    for start in range(0, len(missing), CAPTIONS_AT_ONCE):
        chunk = missing[start : start + CAPTIONS_AT_ONCE]
        with torch.inference_mode():
            read = embed_captions(
                base.kind, encoders, [caption for _, caption in chunk], clip_skip=clip_skip, device=device
            )
        for place, (key, _) in enumerate(chunk):
            cache.put(key, {"hidden": read.hidden[place].cpu().clone(), "pooled": read.pooled[place].cpu().clone()})
