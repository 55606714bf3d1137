"""Aspect-ratio buckets: pictures keep their shape and train with others of the same one, at the area asked for."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

LARGE_STEP, SMALL_STEP = 64, 32
SMALL_RESOLUTION = 256
LONGEST_RATIO = 2


@dataclass(frozen=True)
class Bucket:
    """Width and height in pixels, multiples of the step."""

    width: int
    height: int


@lru_cache(maxsize=8)
def plan_buckets(resolution: int) -> tuple[Bucket, ...]:
    """List every shape of at most resolution² pixels whose sides are from half to twice the resolution.

    Sides are multiples of 64 pixels (8 of the latents, which the UNet halves three times), of 32 below 256 pixels.
    Source: NovelAI's aspect-ratio bucketing (2022), as sd-scripts has it.
    """
    step = LARGE_STEP if resolution >= SMALL_RESOLUTION else SMALL_STEP
    buckets = {Bucket(resolution // step * step or step, resolution // step * step or step)}
    for side in range(step, LONGEST_RATIO * resolution + 1, step):
        other = min(resolution * resolution // side, LONGEST_RATIO * resolution) // step * step
        if min(side, other) * LONGEST_RATIO >= resolution:
            buckets |= {Bucket(side, other), Bucket(other, side)}
    return tuple(sorted(buckets, key=lambda bucket: (bucket.width / bucket.height, bucket.width)))


@lru_cache(maxsize=8)
def _list_ratios(resolution: int) -> tuple[float, ...]:
    return tuple(bucket.width / bucket.height for bucket in plan_buckets(resolution))


def choose_bucket(width: int, height: int, resolution: int, *, keep_aspect: bool) -> Bucket:
    """Choose the bucket whose aspect ratio is nearest to the picture's; the square one without `keep_aspect`."""
    ratio = width / height if keep_aspect else 1.0
    ratios = _list_ratios(resolution)  # ascending: the nearest is next to where this one would stand
    place = bisect_left(ratios, ratio)
    below, above = ratios[max(place - 1, 0)], ratios[min(place, len(ratios) - 1)]
    near = plan_buckets(resolution)[bisect_left(ratios, below) : bisect_right(ratios, above)]

    def distance(bucket: Bucket) -> tuple[float, int]:
        return abs(math.log(bucket.width / bucket.height / ratio)), -bucket.width * bucket.height

    return min(near, key=distance)
