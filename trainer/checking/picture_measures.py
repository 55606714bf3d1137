"""Measures one picture file, whatever is in it: size, sharpness, perceptual hash, or why it cannot be read."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pricing.datasets.thresholds import (
    BLANK_DEVIATION,
    BLUR_LIMIT,
    BLUR_PERCENTILE,
    BLUR_TILES,
    MAX_ASPECT,
    MAX_PIXELS,
    MIN_SIDE_PIXELS,
)
from trainer.checking.near_duplicates import PictureHash, hash_picture
from trainer.data.narrowing import find_range, spread_values

THUMBNAIL_SIDE = 160
ORIENTATION_TAG = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {5, 6, 7, 8}
DRAFT_SIDE = 2 * MIN_SIDE_PIXELS
LARGE_PIXELS = 16_000_000
ONE_LARGE = threading.Lock()


class PictureUnreadable(Exception):
    """The file gives no picture; `code` is the finding's, the message says why and `cure` what to do."""

    def __init__(self, code: str, message: str, cure: str) -> None:
        self.code, self.cure = code, cure
        super().__init__(message)


@dataclass(frozen=True)
class PictureFacts:
    """Width and height in pixels after the EXIF orientation. `sharpness`: see BLUR_LIMIT. `jpeg`: the thumbnail."""

    width: int
    height: int
    mode: str
    frames: int
    was_rotated: bool
    sharpness: float
    is_blank: bool
    picture_hash: PictureHash
    jpeg: bytes

    @property
    def is_small(self) -> bool:
        return min(self.width, self.height) < MIN_SIDE_PIXELS

    @property
    def is_blurred(self) -> bool:
        return self.sharpness < BLUR_LIMIT and not self.is_blank

    @property
    def is_elongated(self) -> bool:
        return max(self.width, self.height) > MAX_ASPECT * min(self.width, self.height)


def measure_picture(file: Path) -> PictureFacts:
    """Decode the whole file once and measure it. Raises: PictureUnreadable, and nothing else for whatever is in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs, odd EXIF and palettes; we measure those ourselves
            return _decode(file)
    except PictureUnreadable:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large("more than twice as many pixels as Pillow allows") from error
    except UnidentifiedImageError as error:
        raise _unidentified(file) from error
    except MemoryError as error:
        raise _too_large("not enough memory to decode it") from error
    except Exception as error:  # a decoder raises anything for a damaged file: OSError, SyntaxError, struct.error, …
        cure = "open and save it again in a picture program, or delete it"
        raise PictureUnreadable("file_damaged", f"cannot be decoded ({error})", cure) from error


def _decode(file: Path) -> PictureFacts:
    if file.stat().st_size == 0:
        raise PictureUnreadable("file_empty", "has no content (0 bytes)", "copy the file again, or delete it")
    with Image.open(file) as opened, _bounding_memory(opened.width * opened.height):
        if opened.width * opened.height > MAX_PIXELS:
            raise _too_large(f"{opened.width}×{opened.height} pixels, {opened.width * opened.height / 1e6:.0f} million")
        mode, frames = opened.mode, _count_frames(opened)
        orientation, size = _read_orientation(opened), opened.size
        opened.draft(None, (DRAFT_SIDE, DRAFT_SIDE))  # a large JPEG is decoded at a half or a quarter
        opened.load()
        picture = _flatten(opened)
    if orientation in TURNS:
        picture = picture.transpose(TURNS[orientation])
    if orientation in SIDEWAYS:
        size = (size[1], size[0])
    grey = _reduce(picture.convert("L"))
    return PictureFacts(
        width=size[0],
        height=size[1],
        mode=mode,
        frames=frames,
        was_rotated=orientation in TURNS,
        sharpness=compute_sharpness(grey),
        is_blank=bool(grey.std() < BLANK_DEVIATION),
        picture_hash=hash_picture(picture),
        jpeg=_make_thumbnail(picture),
    )


@contextmanager
def _bounding_memory(pixels: int) -> Iterator[None]:
    """Let large pictures be decoded one at a time: several threads measure, and each of these takes over a GiB."""
    with ONE_LARGE if pixels > LARGE_PIXELS else nullcontext():
        yield


def _count_frames(opened: Image.Image) -> int:
    """Count frames or pages; 1 where what follows the first is damaged, since only that is trained on."""
    try:
        return int(getattr(opened, "n_frames", 1))
    except Exception:  # noqa: BLE001 - as below
        opened.seek(0)
        return 1


def _read_orientation(opened: Image.Image) -> int:
    """Read the EXIF orientation, 1 (upright) where there is none or the EXIF block is damaged."""
    try:
        return int(opened.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block is no reason to lose the picture
        return 1


def _too_large(what: str) -> PictureUnreadable:
    return PictureUnreadable("picture_too_large", f"is too large ({what})", "resize it to 2048 pixels or so")


def _unidentified(file: Path) -> PictureUnreadable:
    if file.suffix.lower() in {".heic", ".heif"}:
        return PictureUnreadable("format_unknown", "is HEIC, which Pillow cannot read", "save it as JPEG or PNG")
    return PictureUnreadable(
        "format_unknown", "is no picture that Pillow knows", "save it as JPEG or PNG, or delete it"
    )


def _flatten(picture: Image.Image) -> Image.Image:
    """Make the picture RGB on white; the alpha of a palette counts as well."""
    if picture.mode.startswith(("I", "F")):
        return _stretch(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    with_alpha = picture.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("RGB")


def _stretch(picture: Image.Image) -> Image.Image:
    """Spread 16-bit and float pictures over their own range: convert would cut all above 255 to white."""
    values = np.asarray(picture)
    return spread_values(values, *find_range(values))


def _reduce(grey: Image.Image) -> NDArray[np.float32]:
    """Bring the shorter side to 512 pixels, as training sees it; leave a smaller picture as it is."""
    scale = MIN_SIDE_PIXELS / min(grey.size)
    if scale < 1:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=np.float32)


def compute_sharpness(grey: NDArray[np.float32]) -> float:
    """Compute the variance of the Laplacian in the sharpest tenth of 8×8 tiles; of a smaller picture as a whole.

    The kernel is the 4-neighbour one, grey values 0 to 255. Source: see BLUR_LIMIT.
    """
    if min(grey.shape) < 3:
        return 0.0
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    height, width = (side // BLUR_TILES for side in edges.shape)
    if min(height, width) < 2:
        return float(edges.var())
    whole = edges[: height * BLUR_TILES, : width * BLUR_TILES]
    tiles = whole.reshape(BLUR_TILES, height, BLUR_TILES, width).var(axis=(1, 3))
    return float(np.percentile(tiles, BLUR_PERCENTILE))


def _make_thumbnail(picture: Image.Image) -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=70)
    return content.getvalue()
