"""Resizing and cropping to a bucket."""

import os
import subprocess
import sys
from pathlib import Path

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


LIMITED = """
import resource, sys
from PIL import Image
from pricing.training.buckets import choose_bucket
from trainer.data.images import open_image
from trainer.data.smart_crop import fit_to_bucket
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
picture = open_image(Path(sys.argv[1]))
for resolution in (512, 1024):
    bucket = choose_bucket(*picture.size, resolution, keep_aspect=len(sys.argv) < 3)
    assert fit_to_bucket(picture, bucket).picture.size == (bucket.width, bucket.height)
"""


@pytest.mark.parametrize("size", [(2, 20000), (20000, 2), (1, 65000)])
@pytest.mark.parametrize("square", [[], ["square"]])
def test_a_thin_strip_takes_no_more_memory_than_any_picture(tmp_path, size, square) -> None:
    """Past fault: a PNG of 2×20000 pixels and 289 bytes took 12 GiB, since it was enlarged whole and then cut."""
    Image.new("RGB", size, "red").save(tmp_path / "strip.png", optimize=True)
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "strip.png"), *square]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3], env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})


def test_a_small_picture_is_cut_where_it_has_detail_and_then_enlarged() -> None:
    fitted = fit_to_bucket(picture_with_detail((30, 10), (20, 0, 30, 10)), Bucket(100, 100))
    assert fitted.left == 200
    assert np.asarray(fitted.picture).std() > 30
    whole = picture_with_detail((30, 10), (20, 0, 30, 10)).resize((300, 100), Image.Resampling.LANCZOS)
    cut = np.asarray(whole.crop((200, 0, 300, 100)), dtype=np.float32)
    assert np.abs(np.asarray(fitted.picture, dtype=np.float32) - cut)[:, 20:].mean() < 1
