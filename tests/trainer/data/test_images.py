"""Whatever is in a picture file: an upright RGB picture, or a finding with the cure."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from trainer.data.images import ImageUnusable, open_image, read_size


def save(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    return picture


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".bmp", ".tiff", ".jpg", ".gif"])
def test_every_format_of_pillow_is_read(tmp_path, suffix) -> None:
    picture = open_image(save(halves(), tmp_path / f"p{suffix}"))
    assert (picture.mode, picture.size) == ("RGB", (40, 20))
    red, _, blue = picture.getpixel((5, 10))
    assert red > 200
    assert blue < 60


@pytest.mark.parametrize(("orientation", "top_left"), [(1, "red"), (3, "blue"), (6, "red"), (8, "blue")])
def test_pictures_are_turned_upright(tmp_path, orientation, top_left) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(halves(), tmp_path / "p.png", exif=exif)
    picture = open_image(path)
    assert picture.size == read_size(path) == ((20, 40) if orientation > 4 else (40, 20))
    assert picture.getpixel((1, 1)) == {"red": (255, 0, 0), "blue": (0, 0, 255)}[top_left]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tiff", ".jpg"])
def test_the_size_of_a_sideways_picture_is_that_of_the_upright_one_in_every_format(tmp_path, suffix) -> None:
    """Past fault: the size of a TIFF, which Pillow tells upright, was turned once more."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(halves(), tmp_path / f"p{suffix}", exif=exif)
    assert open_image(path).size == read_size(path) == (20, 40)


def test_alpha_is_laid_on_white(tmp_path) -> None:
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert open_image(save(picture, tmp_path / "p.png")).getpixel((0, 0)) == (255, 255, 255)


def test_the_transparent_colour_of_a_palette_is_laid_on_white(tmp_path) -> None:
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.putpixel((4, 4), 1)
    opened = open_image(save(picture, tmp_path / "p.png", transparency=0))
    assert (opened.getpixel((0, 0)), opened.getpixel((4, 4))) == ((255, 255, 255), (255, 0, 0))


def test_cmyk_becomes_rgb(tmp_path) -> None:
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red, green, blue = open_image(save(picture, tmp_path / "p.jpg")).getpixel((4, 4))
    assert red > 200
    assert max(green, blue) < 60


def test_sixteen_bit_grey_keeps_its_tones(tmp_path) -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    picture = open_image(save(Image.fromarray(values), tmp_path / "p.png"))
    assert np.asarray(picture)[..., 0].ravel().tolist() == [round(v / 257) for v in values.ravel().tolist()]


def test_a_colour_profile_is_applied(tmp_path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    picture = Image.new("RGB", (8, 8), (10, 200, 30))
    plain = open_image(save(picture, tmp_path / "plain.png"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = open_image(save(picture, tmp_path / "srgb.png", icc_profile=srgb))
    misfit = open_image(save(picture, tmp_path / "lab.png", icc_profile=profile.tobytes()))
    assert plain.getpixel((0, 0)) == misfit.getpixel((0, 0)) == (10, 200, 30)
    assert max(abs(a - b) for a, b in zip(same.getpixel((0, 0)), (10, 200, 30), strict=True)) <= 1


def test_of_an_animation_the_first_frame_counts(tmp_path) -> None:
    frames = [Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "p.gif").getpixel((0, 0)) == (255, 0, 0)


def png_bytes() -> bytes:
    content = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(content, "PNG")
    return content.getvalue()


def bomb_bytes(width: int, height: int) -> bytes:
    """Make a PNG whose header claims a size that it has no data for."""
    content = bytearray(png_bytes())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", r"no content \(0 bytes\); copy the file again"),
        ("text.png", b"hello, I am text", "no picture that Pillow knows; save it as JPEG or PNG"),
        ("photo.heic", b"not even heic", "pip install pillow-heif"),
        ("half.png", png_bytes()[:2000], "cannot be decoded .*save it anew"),
        ("large.png", bomb_bytes(12_000, 10_000), "too large.*120 million pixels.*resize it"),
        ("bomb.png", bomb_bytes(60_000, 60_000), "too large.*resize it"),
    ],
)
def test_a_file_that_gives_no_picture_is_told_with_its_cure(tmp_path, name, content, message) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageUnusable, match=message):
        open_image(path)


def test_a_file_that_is_gone_is_told(tmp_path) -> None:
    with pytest.raises(ImageUnusable, match="cannot be decoded"):
        open_image(tmp_path / "gone.png")
