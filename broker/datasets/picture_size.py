"""Width and height of a picture from its header: no pixel is decoded in the broker."""

import warnings
from typing import BinaryIO

from PIL import Image

from pricing.datasets.picture_listing import PICTURE_FORMATS
from pricing.datasets.thresholds import MAX_PIXELS

SIDEWAYS = frozenset({5, 6, 7, 8})
ORIENTATION_TAG = 0x0112


class PictureUnusable(ValueError):
    """The file gives no picture to train on; the message says why and what to do."""


def read_picture_size(file: BinaryIO) -> tuple[int, int]:
    """Read width and height in pixels, upright, as the trainer sees them. Raises: PictureUnusable."""
    if not file.read(1):
        raise PictureUnusable("has no content (0 bytes); copy the file again, or delete it")
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd EXIF; the limit below is our own
            width, height = _read_header(file)
    except Image.DecompressionBombError as error:
        raise PictureUnusable(f"is too large ({error}); resize it to 2048 pixels or so") from error
    except Exception as error:  # a decoder raises anything for a damaged file: OSError, SyntaxError, struct.error, …
        cure = "save it as JPEG or PNG (HEIC too), or delete it"
        raise PictureUnusable(f"is no picture that can be read; {cure}") from error
    if width * height > MAX_PIXELS:
        size = f"{width}×{height}, {width * height / 1e6:.0f} million pixels"
        raise PictureUnusable(f"is too large ({size}); resize it to 2048 pixels or so")
    return width, height


def _read_header(file: BinaryIO) -> tuple[int, int]:
    with Image.open(file, formats=PICTURE_FORMATS) as opened:
        # Pillow gives the size of a TIFF as it stands upright.
        is_sideways = opened.format != "TIFF" and opened.getexif().get(ORIENTATION_TAG) in SIDEWAYS
        return (opened.height, opened.width) if is_sideways else (opened.width, opened.height)
