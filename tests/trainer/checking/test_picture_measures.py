"""Measuring picture files: sharpness, orientation, and every kind of broken file as a finding."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.properties import examples
from tests.trainer.checking.pictures import blur, draw_picture
from trainer.checking.image_report import measure_all
from trainer.checking.picture_measures import PictureUnreadable, compute_sharpness, measure_picture


@pytest.mark.parametrize("seed", range(5))
def test_sharp_pictures_are_sharp_and_blurred_ones_are_not(tmp_path, seed) -> None:
    draw_picture(seed).save(tmp_path / "sharp.png")
    blur(draw_picture(seed)).save(tmp_path / "blurred.jpg")
    assert not measure_picture(tmp_path / "sharp.png").is_blurred
    assert measure_picture(tmp_path / "blurred.jpg").is_blurred


def test_a_sharp_subject_before_a_soft_background_is_no_blurred_picture(tmp_path) -> None:
    picture = blur(draw_picture(1), 8)
    picture.paste(draw_picture(1).crop((200, 150, 480, 420)), (200, 150))
    picture.save(tmp_path / "portrait.png")
    assert not measure_picture(tmp_path / "portrait.png").is_blurred


def test_one_colour_is_blank_and_not_called_blurred(tmp_path) -> None:
    Image.new("RGB", (600, 600), "teal").save(tmp_path / "teal.png")
    facts = measure_picture(tmp_path / "teal.png")
    assert facts.is_blank
    assert not facts.is_blurred


def test_sharpness_is_the_variance_of_the_laplacian_by_hand() -> None:
    grey = np.zeros((5, 5), dtype=np.float32)
    grey[2, 2] = 10
    assert compute_sharpness(grey) == pytest.approx(np.var([0, 10, 0, 10, -40, 10, 0, 10, 0]))


@pytest.mark.parametrize(("orientation", "size"), [(1, (700, 560)), (3, (700, 560)), (6, (560, 700)), (8, (560, 700))])
def test_a_picture_is_turned_by_its_exif_first(tmp_path, orientation, size) -> None:
    picture = draw_picture(4, (700, 560))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.jpg", exif=exif)
    facts = measure_picture(tmp_path / "turned.jpg")
    assert (facts.width, facts.height) == size
    assert facts.was_rotated == (orientation != 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_is_measured(tmp_path, mode) -> None:
    picture = draw_picture(5)
    picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else picture
    picture = picture.convert("P").convert("PA") if mode == "PA" else picture.convert(mode)
    picture.save(tmp_path / "picture.tif")
    assert not measure_picture(tmp_path / "picture.tif").is_blank


def write_png_header(file, width: int, height: int) -> None:
    """Write a PNG of any size in a few bytes: what a decompression bomb looks like from outside."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data)]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_bytes(b""), "has no content"),
        (lambda file: file.write_bytes(b"not a picture"), "is no picture"),
        (lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]), "cannot be decoded"),
        (lambda file: write_png_header(file, 10_000, 10_000), "is too large"),
        (lambda file: write_png_header(file, 100_000, 100_000), "is too large"),
        (lambda file: write_png_header(file, 800, 800), "cannot be decoded"),
    ],
    ids=["zero bytes", "text", "cut in half", "100 megapixels", "bomb", "header only"],
)
def test_a_broken_file_is_told_and_cured(tmp_path, spoil, message) -> None:
    file = tmp_path / "picture.png"
    draw_picture(6).save(file)
    spoil(file)
    with pytest.raises(PictureUnreadable, match=message) as caught:
        measure_picture(file)
    assert caught.value.cure


@examples(60)
@given(st.data())
def test_whatever_bytes_a_file_has_it_is_measured_or_told(tmp_path_factory, data) -> None:
    file = tmp_path_factory.mktemp("bytes") / f"picture.{data.draw(st.sampled_from(['png', 'jpg', 'gif', 'webp']))}"
    draw_picture(7, (64, 48)).save(file)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content))
    (measured,) = measure_all([file])
    assert measured.cure if isinstance(measured, PictureUnreadable) else measured.jpeg
