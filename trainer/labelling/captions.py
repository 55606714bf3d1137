"""Captions for pictures that have none: which ones, how the words are put together, and where they are written."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pricing.datasets.csv_file import BrokenRow, CsvFile, write_csv
from pricing.datasets.picture_listing import (
    CAPTION_KEYS,
    FILE_KEYS,
    METADATA_NAMES,
    SIDECAR_SUFFIXES,
    fold_name,
    is_picture_name,
)
from pricing.datasets.text_decoding import EncodingUnknown, decode_text
from trainer.atomic_files import writing_file
from trainer.data.quality_samples import PictureSample, list_pictures
from trainer.errors import BadInput

CAMERA_NAME = re.compile(
    r"^(img|dsc[nf]?|dcim|pxl|mvimg|image|photo|picture|screenshot|untitled|微信图片|截图)(?![^\W\d])", re.IGNORECASE
)
COPY_MARK = re.compile(r"\(\d+\)|\bcopy\b|副本", re.IGNORECASE)
NUMBER = re.compile(r"\b\d+\b")


def choose_pictures(folder: Path, metadata_path: Path | None, *, overwrite: bool) -> list[PictureSample]:
    """Choose the pictures without a caption, or all of them if a caption may be replaced. Raises: BadInput."""
    if not folder.is_dir():
        raise BadInput("DATA", f"{folder} is not a folder; give the folder with your pictures")
    listing = list_pictures(folder, metadata_path)
    if not listing.samples and listing.lost:
        refused = next(problem for problem in listing.findings if problem.loses_rows)
        where, cure = f"{refused.file} line {refused.line or 1}", f"{refused.message}; {refused.cure}"
        raise BadInput("DATA", f"{folder} has no picture that its metadata leaves to be learnt: {where} {cure}")
    if not listing.samples:
        raise BadInput("DATA", f"{folder} has no picture")
    return [sample for sample in listing.samples if overwrite or not sample.caption]


def caption_from_name(name: str) -> str:
    """Read the words of a file's name: `blue-kettle_03 (2).jpg` is `blue kettle`; "" for what a camera made up."""
    stem = Path(name).stem
    words = COPY_MARK.sub(" ", re.sub(r"[_\-.+]+", " ", stem))
    if CAMERA_NAME.match(words.strip()):
        return ""
    return " ".join(NUMBER.sub(" ", words).split())


def write_sidecars(captions: Mapping[str, str], folder: Path) -> list[Path]:
    """Write one text file beside each picture, or over the one that is there; each whole or not at all."""
    written = []
    there = _list_sidecars({(folder / name).parent for name in captions})
    for name, caption in captions.items():
        file = _find_sidecar(folder / name, there)
        with writing_file(file) as aside:
            aside.write_text(caption + "\n", encoding="utf-8")
        written.append(file)
    return written


def _list_sidecars(folders: Iterable[Path]) -> dict[str, Path]:
    """List text files by their names in one case, but for those that are named exactly as a picture is: its own."""
    files = [path for folder in folders for path in folder.iterdir()]
    pictured = {path.with_suffix("") for path in files if is_picture_name(path.name)}
    return {fold_name(str(path)): path for path in files if path.with_suffix("") not in pictured}


def _find_sidecar(picture: Path, there: Mapping[str, Path]) -> Path:
    """Find the text file of a picture, in whichever case it is named, or name the one to come."""
    named = [picture.with_suffix(suffix) for suffix in SIDECAR_SUFFIXES]
    alike = (found for path in named if (found := there.get(fold_name(str(path)))) is not None)
    return next((path for path in named if path.is_file()), None) or next(alike, named[0])


def write_metadata(captions: Mapping[str, str], samples: Sequence[PictureSample], file: Path) -> Path:
    """Put the captions into a metadata CSV, made if it is not there; other rows and columns stay as they are.

    Every picture of `samples` is in it afterwards, with the caption it had. Raises: BadInput.
    """
    header, rows = _read_table(file)
    file_key = next((key for key in header if key.strip().lower() in FILE_KEYS), None)
    caption_key = next((key for key in header if key.strip().lower() in CAPTION_KEYS), None)
    if file_key is None or caption_key is None:
        raise BadInput(str(file), f"needs a column {FILE_KEYS[0]} and a column {CAPTION_KEYS[0]}")
    by_name = {_normal(row.get(file_key) or ""): row for row in rows}
    names = {sample.name for sample in samples}
    alike = {fold_name(name): row for name, row in by_name.items() if name not in names}  # `b.png` of `B.PNG`
    for sample in samples:
        row = by_name.get(sample.name) or alike.get(fold_name(sample.name))
        if row is None:
            row = {file_key: sample.name, caption_key: sample.caption}
            rows.append(row)
        if sample.name in captions:
            row[caption_key] = captions[sample.name]
    with writing_file(file) as aside:
        aside.write_text(_write_table(header, rows), encoding="utf-8", newline="")
    return file


def get_metadata_file(folder: Path) -> Path:
    """Get the CSV that captions go into. Raises: BadInput, where the folder keeps them in metadata.jsonl."""
    as_csv, as_jsonl = (folder / name for name in METADATA_NAMES[:2])
    if as_jsonl.is_file() and not as_csv.is_file():
        raise BadInput(str(as_jsonl), "captions stand in JSONL here; use --write sidecar, or turn it into metadata.csv")
    return as_csv


def _read_table(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    if not file.is_file():
        return [FILE_KEYS[0], CAPTION_KEYS[0]], []
    try:
        table = CsvFile(decode_text(file.read_bytes()).text)
    except EncodingUnknown as error:
        raise BadInput(str(file), f"cannot be read as CSV ({error}); correct it first") from error
    rows = []
    for row in table:
        if isinstance(row, BrokenRow):
            raise BadInput(str(file), f"line {row.line} {row.message}; correct it first")
        rows.append(dict(zip(table.heading, row.fields, strict=True)))
    return table.heading, rows


def _write_table(header: Iterable[str], rows: Iterable[Mapping[str, str]]) -> str:
    names = list(header)
    return write_csv(names, ([row.get(name, "") for name in names] for row in rows))


def _normal(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
