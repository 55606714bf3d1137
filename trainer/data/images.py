"""Opening a picture file for training: upright, RGB on white, in sRGB; or a finding with the cure, never a crash."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from pricing.datasets.picture_listing import PICTURE_FORMATS
from pricing.datasets.row_finding import cut_figures
from pricing.datasets.thresholds import MAX_PIXELS
from trainer.data.narrowing import find_range, spread_values

LONGEST_SHORT = 65535.0
SIDEWAYS = frozenset({5, 6, 7, 8})
ORIENTATION_TAG = 0x0112
HEIC_SUFFIXES = (".heic", ".heif")


class ImageUnusable(Exception):
    """The file gives no picture to train on; the message says why and what to do."""

    @property
    def reason(self) -> str:
        return cut_figures(str(self))


def read_size(path: Path) -> tuple[int, int]:
    """Read width and height in pixels, upright, from the file's header. Raises: ImageUnusable."""
    with _opening(path) as opened:
        # Pillow gives the size of a TIFF as it stands upright.
        is_sideways = opened.format != "TIFF" and opened.getexif().get(ORIENTATION_TAG) in SIDEWAYS
        return (opened.height, opened.width) if is_sideways else (opened.width, opened.height)


def open_image(path: Path) -> Image.Image:
    """Decode a picture whole: its first frame, EXIF orientation applied, alpha on white, colours in sRGB.

    Raises: ImageUnusable.
    """
    with _opening(path) as opened:
        opened.load()
        profile = opened.info.get("icc_profile")
        upright = ImageOps.exif_transpose(opened)
        return _to_srgb(_flatten(upright, has_profile=bool(profile)), profile)


@contextmanager
def _opening(path: Path) -> Iterator[Image.Image]:
    """Open a file and turn whatever goes wrong with it, also later in the block, into ImageUnusable."""
    try:
        _check_content(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd EXIF; the limit below is our own
            with Image.open(path, formats=_list_formats(path)) as opened:
                _check_pixels(opened)
                yield opened
    except ImageUnusable:
        raise
    except Image.DecompressionBombError as error:
        raise ImageUnusable(f"is too large ({error}); resize it to 2048 pixels or so") from error
    except UnidentifiedImageError as error:
        raise ImageUnusable(_describe_unidentified(path)) from error
    except MemoryError as error:
        raise ImageUnusable("is too large for the memory; resize it to 2048 pixels or so") from error
    except Exception as error:  # a decoder raises anything for a damaged file: OSError, SyntaxError, struct.error, …
        raise ImageUnusable(f"cannot be decoded ({error}); save it anew in a picture program, or delete it") from error


def _check_content(path: Path) -> None:
    if path.stat().st_size == 0:
        raise ImageUnusable("has no content (0 bytes); copy the file again, or delete it")


def _check_pixels(opened: Image.Image) -> None:
    pixels = opened.width * opened.height
    if pixels > MAX_PIXELS:
        size = f"{opened.width}×{opened.height}, {pixels / 1e6:.0f} million pixels"
        raise ImageUnusable(f"is too large ({size}); resize it to 2048 pixels or so")


def _list_formats(path: Path) -> tuple[str, ...]:
    """List the formats that the broker counts by; HEIC too, where the package pillow-heif is there."""
    if path.suffix.lower() not in HEIC_SUFFIXES:
        return PICTURE_FORMATS
    try:
        import pillow_heif  # type: ignore[import-not-found]  # noqa: PLC0415 - optional
    except ImportError:
        return PICTURE_FORMATS
    pillow_heif.register_heif_opener()
    return (*PICTURE_FORMATS, "HEIF")


def _describe_unidentified(path: Path) -> str:
    if path.suffix.lower() in HEIC_SUFFIXES:
        return "is HEIC; run `pip install pillow-heif`, or save it as JPEG or PNG"
    return "is no picture that Pillow knows; save it as JPEG or PNG, or delete it"


def _flatten(picture: Image.Image, *, has_profile: bool) -> Image.Image:
    """Turn a picture into RGB (or CMYK, where a profile says what its inks are) without alpha; palettes and 16 bit are
    written out.
    """
    if picture.mode.startswith(("I", "F")):
        return _narrow(picture)
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", with_alpha.size, "white"), with_alpha).convert("RGB")
    if picture.mode == "CMYK" and has_profile:
        return picture
    return picture.convert("RGB")


def _narrow(picture: Image.Image) -> Image.Image:
    """Narrow 16 bit to 8 by the full range; what goes beyond 16 bit, and floats, by their own range."""
    values = np.asarray(picture)
    is_short = picture.mode.startswith("I;16") or (picture.mode == "I" and find_range(values)[1] <= LONGEST_SHORT)
    return spread_values(values, *((0.0, LONGEST_SHORT) if is_short else find_range(values)))


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture through its colour profile, where it has one that can be read and fits the picture."""
    if not profile:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture.convert("RGB")
    return converted or picture.convert("RGB")
