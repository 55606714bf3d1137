"""Pictures and captions computed once, before training: latents and text embeddings, kept on disk by content."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
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
from trainer.data.tensor_cache import TensorCache, Tensors, hash_file, make_key
from trainer.families.stable_diffusion.clip_text import Caption
from trainer.families.stable_diffusion.text_encoders import embed_captions
from trainer.families.stable_diffusion.weights import BaseWeights
from trainer.log import write_line

CAPTIONS_AT_ONCE = 16
ENLARGED = 2  # changes with how small pictures are enlarged: what an older way made is made anew
SECONDS_BETWEEN_WORDS = 10


class LatentEncoder:
    """Turns pictures into latents with a VAE in fp32 (in fp16 SDXL's overflows)."""

    def __init__(self, cache: TensorCache, config: TrainingConfig, resolution: int) -> None:
        self._cache, self._resolution = cache, resolution
        self._flip, self._keep_aspect = config.flip, config.aspect_buckets

    def choose_bucket(self, row: ImageRow) -> Bucket:
        return choose_bucket(*row.size, self._resolution, keep_aspect=self._keep_aspect)

    def encode(self, row: ImageRow, vae_key: str, load_vae: Any, device: torch.device) -> str:
        """Return the cache key of the row's latents, computed if they are not there. Raises: ImageUnusable."""
        bucket = self.choose_bucket(row)
        try:
            content = hash_file(row.path)
        except OSError as error:
            raise ImageUnusable(f"cannot be read ({error.strerror}); give it read permission") from error
        facts: dict[str, Any] = {"bucket": [bucket.width, bucket.height], "flip": self._flip, "vae": vae_key}
        if bucket.width > row.size[0] or bucket.height > row.size[1]:
            facts["enlarged"] = ENLARGED
        key = make_key("latents", content, json.dumps(facts))
        if self._cache.find(key) is None:
            self._cache.put(key, self._compute(open_image(row.path), bucket, load_vae(), device))
        return key

    def _compute(self, picture: Image.Image, bucket: Bucket, vae: Any, device: torch.device) -> Tensors:
        """Compute mean and logarithm of the variance of the latents [2·channels, h, w], of the mirrored picture too."""
        fitted = fit_to_bucket(picture, bucket)
        geometry = [picture.height, picture.width, fitted.top, fitted.left, bucket.height, bucket.width]
        pixels = to_pixels(fitted.picture).to(device)
        views = torch.stack([pixels, pixels.flip(-1)]) if self._flip else pixels[None]
        with torch.inference_mode():
            moments = vae.encode(views).latent_dist.parameters.cpu()
        tensors = {"moments": moments[0].clone(), "geometry": torch.tensor(geometry, dtype=torch.float32)}
        return tensors | ({"mirrored": moments[1].clone()} if self._flip else {})


def to_pixels(picture: Image.Image) -> torch.Tensor:
    """Turn a picture into a tensor [3, height, width], from -1 to 1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


def collect_latents(
    rows: Sequence[ImageRow], encode: Callable[[ImageRow], str]
) -> tuple[dict[Path, str], list[RowFinding]]:
    """Collect the key of each picture, and those pictures that turned out to be unusable when they were decoded."""
    keys: dict[Path, str] = {}
    findings = []
    last_word = time.monotonic()
    for row in rows:
        if time.monotonic() - last_word > SECONDS_BETWEEN_WORDS:
            last_word = time.monotonic()
            write_line(f"reading pictures: {len(keys)} of {len(rows)}")
        try:
            keys[row.path] = encode(row)
        except ImageUnusable as error:
            findings.append(RowFinding(row.name, 1, str(error), reason=error.reason))
    return keys, findings


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
