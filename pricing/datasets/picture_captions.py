"""Captions of pictures that name none of their own: kohya's `10_name/` folders, and the default."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

KOHYA_FOLDER = re.compile(r"(\d{1,4})_(\S.*)")
NO_CAPTION = (
    "has no caption; name it in metadata.csv, write it into a .txt beside the picture, run `trainer auto-label`, "
    "or set default_caption"
)


@dataclass(frozen=True)
class KohyaFolder:
    """`10_name` is ten repeats an epoch, and the caption `name` for pictures without one."""

    repeats: int
    name: str


def read_kohya_folder(name: str) -> KohyaFolder | None:
    """Read the folder of a picture from its name relative to the data folder, with `/`; None for any other folder."""
    match = KOHYA_FOLDER.fullmatch(PurePosixPath(name).parent.name)
    if match is None or int(match[1]) < 1:
        return None
    return KohyaFolder(int(match[1]), match[2].strip())


def choose_caption(name: str, caption: str, default_caption: str | None) -> str | None:
    """Choose the caption of the picture `name`: its own, else the default, else the name of its kohya folder."""
    kohya = read_kohya_folder(name)
    return caption or default_caption or (kohya.name if kohya else None)
