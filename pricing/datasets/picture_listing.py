"""The pictures among files with their captions and the place of each caption, and what is wrong with the listing."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
PICTURE_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # Pillow's names of those it reads by itself
METADATA_NAMES = ("metadata.csv", "metadata.jsonl")
SIDECAR_SUFFIXES = (".txt", ".caption")
FILE_KEYS = ("file_name", "filename", "file", "image")
CAPTION_KEYS = ("text", "caption", "prompt")


@dataclass(frozen=True)
class ListedPicture:
    """A picture, its caption ("" where there is none), and where the caption stands. Names have `/`."""

    name: str
    caption: str = ""
    caption_file: str = ""
    caption_line: int | None = None


@dataclass(frozen=True)
class ListingProblem:
    """What is wrong with a line of a file (from 1), or with the whole file."""

    code: str
    file: str
    line: int | None
    message: str
    cure: str


@dataclass
class PictureListing:
    pictures: list[ListedPicture] = field(default_factory=list)
    problems: list[ListingProblem] = field(default_factory=list)


@dataclass(frozen=True)
class MetadataFile:
    """A file of captions, under the name that messages give it; `read` may raise OSError."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class _Entry:
    caption: str
    file: str
    line: int


def is_picture_name(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def list_named_pictures(
    names: Iterable[str], read: Callable[[str], bytes], metadata: MetadataFile | None = None
) -> PictureListing:
    """List every picture among the files `names`; its caption is the metadata's, else that of the text file beside it.

    A metadata file that is given is the list: pictures that it does not name are left out. Folders are walked in the
    order of their names, as the trainer walks them. `read` may raise OSError.
    """
    listing, entries, files = PictureListing(), dict[str, _Entry](), set(names)
    beside = [MetadataFile(name, _reader(read, name)) for name in METADATA_NAMES if name in files]
    for file in beside if metadata is None else [metadata]:
        _read_metadata(file, entries, listing.problems)
    for name in sorted(files, key=lambda name: name.split("/")):
        if is_picture_name(name) and (metadata is None or name in entries):
            entry = entries.pop(name, None)
            listing.pictures.append(_list_picture(name, files, read, entry, listing.problems))
    for name, entry in entries.items():
        cure = "correct the name or delete the row"
        message = f"names {name}, which is not there"
        listing.problems.append(ListingProblem("file_missing", entry.file, entry.line, message, cure))
    return listing


def _reader(read: Callable[[str], bytes], name: str) -> Callable[[], bytes]:
    return lambda: read(name)


def _list_picture(
    name: str, files: set[str], read: Callable[[str], bytes], entry: _Entry | None, problems: list[ListingProblem]
) -> ListedPicture:
    if entry is not None and entry.caption:
        return ListedPicture(name, entry.caption, entry.file, entry.line)
    beside = (str(PurePosixPath(name).with_suffix(suffix)) for suffix in SIDECAR_SUFFIXES)
    sidecar = next((each for each in beside if each in files), None)
    if sidecar is None:
        return ListedPicture(name)
    caption = _decode(MetadataFile(sidecar, _reader(read, sidecar)), problems)
    return ListedPicture(name, " ".join((caption or "").split()), sidecar, 1)


def _read_metadata(file: MetadataFile, entries: dict[str, _Entry], problems: list[ListingProblem]) -> None:
    text = _decode(file, problems)
    if text is None:
        return
    for line, record in _read_records(text, is_csv=file.name.lower().endswith(".csv")):
        problem = record if isinstance(record, str) else _add_entry(record, file.name, line, entries)
        if problem:
            cure = f"each row needs {FILE_KEYS[0]} and {CAPTION_KEYS[0]}"
            problems.append(ListingProblem("metadata_row", file.name, line, problem, cure))


def _add_entry(record: dict[str, Any], file: str, line: int, entries: dict[str, _Entry]) -> str | None:
    name = next((record[key] for key in FILE_KEYS if record.get(key)), None)
    caption = next((record[key] for key in CAPTION_KEYS if record.get(key)), "")
    if not isinstance(name, str) or not isinstance(caption, str):
        return "names no file"
    if any("\ud800" <= character <= "\udfff" for character in name + caption):
        return "has half a surrogate pair, which is no character"
    name = name.replace("\\", "/").removeprefix("./")
    if name in entries:
        return f"{name} was named before, in line {entries[name].line}"
    entries[name] = _Entry(" ".join(caption.split()), file, line)
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


def _decode(file: MetadataFile, problems: list[ListingProblem]) -> str | None:
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message, cure = f"is not UTF-8 (byte {error.start})", "save the file as UTF-8"
        problems.append(ListingProblem("encoding", file.name, None, message, cure))
    except OSError as error:
        message, cure = f"cannot be read ({error.strerror})", "give it read permission"
        problems.append(ListingProblem("file_unreadable", file.name, None, message, cure))
    return None
