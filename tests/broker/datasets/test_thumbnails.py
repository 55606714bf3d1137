"""Pictures of a data set as people see them: always a small JPEG of our own making."""

import io

import pytest
from PIL import Image

from broker.datasets.picture_size import PictureUnusable
from broker.datasets.thumbnails import THUMBNAIL_PIXELS, shrink_picture


def write_picture(size: tuple[int, int], kind: str = "PNG", mode: str = "RGBA") -> bytes:
    content = io.BytesIO()
    Image.new(mode, size, 128 if mode == "L" else (10, 200, 30, 90)[: len(mode)]).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(("size", "kind", "mode"), [((800, 400), "PNG", "RGBA"), ((300, 900), "WEBP", "RGB")])
def test_a_picture_becomes_a_small_jpeg(size: tuple[int, int], kind: str, mode: str) -> None:
    small = Image.open(io.BytesIO(shrink_picture(write_picture(size, kind, mode))))
    assert small.format == "JPEG"
    assert max(small.size) == THUMBNAIL_PIXELS
    assert small.size[0] * size[1] == pytest.approx(small.size[1] * size[0], rel=0.02)


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)></svg>", write_picture((64, 64))[:80]])
def test_what_is_no_picture_is_not_served(content: bytes) -> None:
    with pytest.raises(PictureUnusable):
        shrink_picture(content)
