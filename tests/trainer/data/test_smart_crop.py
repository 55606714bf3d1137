"""Resizing and cropping to a bucket."""

import numpy as np
import pytest
from PIL import Image

from pricing.training.buckets import Bucket
from trainer.data.smart_crop import fit_to_bucket


def picture_with_detail(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """Grey, with noise inside the box."""
    values = np.full((size[1], size[0], 3), 128, dtype=np.uint8)
    left, top, right, bottom = box
    values[top:bottom, left:right] = np.random.default_rng(1).integers(0, 256, (bottom - top, right - left, 3))
    return Image.fromarray(values)


@pytest.mark.parametrize("size", [(64, 64), (200, 64), (64, 333), (31, 17), (1000, 999), (1, 1)])
def test_the_picture_has_exactly_the_size_of_its_bucket(size) -> None:
    fitted = fit_to_bucket(Image.new("RGB", size), Bucket(96, 64))
    assert fitted.picture.size == (96, 64)


def test_the_cut_keeps_what_has_detail() -> None:
    right = fit_to_bucket(picture_with_detail((300, 100), (200, 0, 300, 100)), Bucket(100, 100))
    left = fit_to_bucket(picture_with_detail((300, 100), (0, 0, 100, 100)), Bucket(100, 100))
    assert right.left > 150
    assert left.left < 50
    assert right.top == left.top == 0


def test_a_flat_picture_is_cut_in_the_middle() -> None:
    fitted = fit_to_bucket(Image.new("RGB", (300, 100), "white"), Bucket(100, 100))
    assert abs(fitted.left - 100) <= 1


def test_nothing_is_stretched() -> None:
    circle = Image.new("L", (400, 200))
    circle.paste(255, (150, 50, 250, 150))
    fitted = fit_to_bucket(circle.convert("RGB"), Bucket(128, 128))
    bright = np.asarray(fitted.picture.convert("L")) > 128
    assert abs(int(bright.any(axis=0).sum()) - int(bright.any(axis=1).sum())) <= 1
