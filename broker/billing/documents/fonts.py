"""The font of documents: Noto Sans CJK, of the system; it has Chinese and Latin letters alike."""

from functools import cache
from pathlib import Path

import typst

from broker import errors

FAMILY = "Noto Sans CJK SC"
# Where Debian, Fedora and Arch put the package's files.
FOLDERS = ("/usr/share/fonts/opentype/noto", "/usr/share/fonts/google-noto-sans-cjk-fonts", "/usr/share/fonts/noto-cjk")
CURE = "install the package fonts-noto-cjk (`apt-get install fonts-noto-cjk`), or name its folder in BROKER_FONT_DIR"


def find_fonts(font_dir: Path | None) -> typst.Fonts | None:
    """Find the fonts of documents: in a folder that is named, else where systems put them; None where it is not."""
    return next(filter(None, map(_load, [str(font_dir)] if font_dir is not None else FOLDERS)), None)


@cache
def _load(folder: str) -> typst.Fonts | None:
    """Load a folder's fonts, once in a process: the files have 90 MB."""
    if not Path(folder).is_dir():
        return None
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])
    return fonts if FAMILY in fonts.families() else None


def explain_missing(font_dir: Path | None) -> str | None:
    """Explain what to do where no font of documents is in its place; None where there is one. Loads nothing."""
    folders = [str(font_dir)] if font_dir is not None else FOLDERS
    if any(any(Path(folder).glob("NotoSansCJK*")) for folder in folders):
        return None
    return f"invoices have no PDF: the font {FAMILY} is not on this machine: {CURE}"


def get_fonts(font_dir: Path | None) -> typst.Fonts:
    """Get the fonts of documents. Raises: FontMissing."""
    fonts = find_fonts(font_dir)
    if fonts is None:
        raise errors.FontMissing(f"The font {FAMILY} is not on the broker's machine: {CURE}.")
    return fonts
