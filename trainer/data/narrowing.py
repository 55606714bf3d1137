"""Pictures of 16 bit and more as those of 8, in strips: as doubles the largest of them would be several GiB."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRIP_PIXELS = 1 << 20


def spread_values(values: NDArray[Any], low: float, high: float) -> Image.Image:
    """Spread values [height, width] from low to high over 0 to 255, as an RGB picture; NaN counts as 0."""
    narrow = np.empty(values.shape, dtype=np.uint8)
    for strip in _iter_strips(values):
        scaled = (_to_finite(values[strip]) - low) * (255 / ((high - low) or 1.0))
        narrow[strip] = scaled.clip(0, 255).round()
    return Image.fromarray(narrow).convert("RGB")


def find_range(values: NDArray[Any]) -> tuple[float, float]:
    """Find the least and the greatest value; NaN counts as 0."""
    lows, highs = [], []
    for strip in _iter_strips(values):
        finite = _to_finite(values[strip])
        lows.append(float(finite.min()))
        highs.append(float(finite.max()))
    return min(lows), max(highs)


def _iter_strips(values: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, STRIP_PIXELS // values.shape[1])
    for start in range(0, len(values), rows):
        yield slice(start, start + rows)


def _to_finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64))
