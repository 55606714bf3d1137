"""Bringing a picture to its bucket: resized to cover it with Lanczos, and what is too much cut where least is lost."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pricing.training.buckets import Bucket

CENTRE_PULL = 0.25


@dataclass(frozen=True)
class Fitted:
    """The picture in its bucket's size; `left` and `top` in pixels of the resized picture, before the cut."""

    picture: Image.Image
    left: int
    top: int


def fit_to_bucket(picture: Image.Image, bucket: Bucket) -> Fitted:
    """Resize and crop an RGB picture to exactly the bucket's size. No more memory is taken than for either of them."""
    scale = max(bucket.width / picture.width, bucket.height / picture.height)
    if scale > 1:
        return _cut_and_enlarge(picture, bucket, scale)
    size = (max(bucket.width, round(picture.width * scale)), max(bucket.height, round(picture.height * scale)))
    resized = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = choose_crop(np.asarray(resized.convert("L"), dtype=np.float32), bucket)
    box = (left, top, left + bucket.width, top + bucket.height)
    return Fitted(resized.crop(box), left, top)


def _cut_and_enlarge(picture: Image.Image, bucket: Bucket, scale: float) -> Fitted:
    """Cut first, then enlarge: 2×20000 pixels enlarged whole would be 12 GiB, of which a strip is kept."""
    width, height = min(bucket.width / scale, picture.width), min(bucket.height / scale, picture.height)
    grey = np.asarray(picture.convert("L"), dtype=np.float32)
    start = choose_crop(grey, Bucket(math.ceil(width), math.ceil(height)))
    left, top = min(start[0], picture.width - width), min(start[1], picture.height - height)
    box = (left, top, left + width, top + height)
    enlarged = picture.resize((bucket.width, bucket.height), Image.Resampling.LANCZOS, box=box)
    return Fitted(enlarged, round(left * scale), round(top * scale))


def choose_crop(grey: NDArray[np.float32], bucket: Bucket) -> tuple[int, int]:
    """Choose left and top of the window with the most detail, the middle preferred where that makes little difference.

    Detail is the sum of the absolute grey differences to the neighbours; a window at the edge is worth a quarter less
    than one in the middle (our choice: sky and floor are flat, and subjects are mostly near the middle).
    """
    detail = np.zeros_like(grey)
    detail[:, 1:] += np.abs(np.diff(grey, axis=1))
    detail[1:, :] += np.abs(np.diff(grey, axis=0))
    return _choose_start(detail.sum(axis=0), bucket.width), _choose_start(detail.sum(axis=1), bucket.height)


def _choose_start(detail: NDArray[np.float32], length: int) -> int:
    spare = len(detail) - length
    if spare <= 0:
        return 0
    total = np.concatenate([[0.0], np.cumsum(detail, dtype=np.float64)])
    windows = total[length:] - total[:-length]
    off_centre = np.abs(np.linspace(-1, 1, spare + 1))
    return int(np.argmax((windows + 1e-6) * (1 - CENTRE_PULL * off_centre)))
