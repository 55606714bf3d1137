"""Captions of pictures that name none of their own: kohya's `10_name/` folders, and the default."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from trainer.data.quality_samples import PictureSample

KOHYA_FOLDER = re.compile(r"(\d{1,4})_(\S.*)")


@dataclass(frozen=True)
class KohyaFolder:
    """`10_name` is ten repeats an epoch, and the caption `name` for pictures without one."""

    repeats: int
    name: str


def read_kohya_folder(name: str) -> KohyaFolder | None:
    """The folder of a picture, given its name relative to the data folder with `/`; None for any other folder."""
    match = KOHYA_FOLDER.fullmatch(PurePosixPath(name).parent.name)
    if match is None or int(match[1]) < 1:
        return None
    return KohyaFolder(int(match[1]), match[2].strip())


def choose_caption(sample: PictureSample, default_caption: str | None) -> str | None:
    """The picture's own caption, else the default, else the name of its kohya folder."""
    kohya = read_kohya_folder(sample.name)
    return sample.caption or default_caption or (kohya.name if kohya else None)
