"""The pictures of a folder with their captions and the place of each caption, and what is wrong with the listing."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.data.quality_report import Finding, Level

PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
METADATA_NAMES = ("metadata.csv", "metadata.jsonl")
SIDECAR_SUFFIXES = (".txt", ".caption")
FILE_KEYS = ("file_name", "filename", "file", "image")
CAPTION_KEYS = ("text", "caption", "prompt")


@dataclass(frozen=True)
class PictureSample:
    """A picture, its caption ("" where there is none), and where the caption stands."""

    path: Path
    name: str  # relative to the folder, with /
    caption: str = ""
    caption_file: str = ""
    caption_line: int | None = None


@dataclass
class PictureListing:
    samples: list[PictureSample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    caption: str
    file: str
    line: int


def has_pictures(folder: Path) -> bool:
    return any(is_picture(path) for path in folder.rglob("*"))


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def list_pictures(folder: Path, metadata_path: Path | None = None) -> PictureListing:
    """Every picture under `folder`; the caption is the metadata's, else that of the text file beside the picture.

    A metadata file that is named by `metadata_path` is the list: pictures that it does not name are left out.
    """
    listing = PictureListing()
    entries: dict[str, _Entry] = {}
    for file in [metadata_path] if metadata_path else [folder / name for name in METADATA_NAMES]:
        if file.is_file():
            _read_metadata(file, folder, entries, listing.findings)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if is_picture(path) and path.is_file() and (metadata_path is None or name in entries):
            listing.samples.append(_make_sample(path, name, folder, entries.pop(name, None), listing.findings))
    for name, entry in entries.items():
        cure = "correct the name or delete the row"
        message = f"names {name}, which is not there"
        listing.findings.append(Finding("file_missing", Level.ERROR, entry.file, entry.line, message, cure))
    return listing


def _make_sample(path: Path, name: str, folder: Path, entry: _Entry | None, findings: list[Finding]) -> PictureSample:
    if entry is not None and entry.caption:
        return PictureSample(path, name, entry.caption, entry.file, entry.line)
    sidecar = find_sidecar(path)
    if sidecar is None:
        return PictureSample(path, name)
    sidecar_name = sidecar.relative_to(folder).as_posix()
    caption = _decode(sidecar, sidecar_name, findings)
    return PictureSample(path, name, " ".join((caption or "").split()), sidecar_name, 1)


def find_sidecar(picture: Path) -> Path | None:
    sidecars = (picture.with_suffix(suffix) for suffix in SIDECAR_SUFFIXES)
    return next((path for path in sidecars if path.is_file()), None)


def _read_metadata(file: Path, folder: Path, entries: dict[str, _Entry], findings: list[Finding]) -> None:
    shown = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
    text = _decode(file, shown, findings)
    if text is None:
        return
    for line, record in _read_records(text, is_csv=file.suffix.lower() == ".csv"):
        problem = record if isinstance(record, str) else _add_entry(record, shown, line, entries)
        if problem:
            cure = f"each row needs {FILE_KEYS[0]} and {CAPTION_KEYS[0]}"
            findings.append(Finding("metadata_row", Level.ERROR, shown, line, problem, cure))


def _add_entry(record: dict[str, Any], shown: str, line: int, entries: dict[str, _Entry]) -> str | None:
    name = next((record[key] for key in FILE_KEYS if record.get(key)), None)
    caption = next((record[key] for key in CAPTION_KEYS if record.get(key)), "")
    if not isinstance(name, str) or not isinstance(caption, str):
        return "names no file"
    name = name.replace("\\", "/").removeprefix("./")
    if name in entries:
        return f"{name} was named before, in line {entries[name].line}"
    entries[name] = _Entry(" ".join(caption.split()), shown, line)
    return None


def _read_records(text: str, *, is_csv: bool) -> Iterator[tuple[int, dict[str, Any] | str]]:
    if is_csv:
        yield from _read_csv(text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            record = f"is not JSON: {error}"
        yield number, record if isinstance(record, dict | str) else "is no object with keys"


def _read_csv(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for record in reader:
            yield reader.line_num, {str(key).strip().lower(): value for key, value in record.items()}
    except csv.Error as error:
        yield reader.line_num, f"is not CSV: {error}"


def _decode(file: Path, shown: str, findings: list[Finding]) -> str | None:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message, cure = f"is not UTF-8 (byte {error.start})", "save the file as UTF-8"
        findings.append(Finding("encoding", Level.ERROR, shown, None, message, cure))
    except OSError as error:
        findings.append(
            Finding(
                "file_unreadable",
                Level.ERROR,
                shown,
                None,
                f"cannot be read ({error.strerror})",
                "give it read permission",
            )
        )
    return None
