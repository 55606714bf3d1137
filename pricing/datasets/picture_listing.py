"""The pictures among files with their captions and the place of each caption, and what is wrong with the listing."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from pricing.datasets.csv_file import BrokenRow, iter_csv
from pricing.datasets.file_names import is_left_aside, tell_left_aside
from pricing.datasets.finding_level import Level
from pricing.datasets.row_finding import RowFinding
from pricing.datasets.telling_keys import RowRefused, find_switched_off, is_said, refuse_key_twice
from pricing.datasets.text_decoding import CURE, EncodingUnknown, decode_text
from pricing.datasets.text_rows import TooManyRows, iter_lines, load_record

PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
PICTURE_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # Pillow's names of those it reads by itself
METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.tsv")
SIDECAR_SUFFIXES = (".txt", ".caption")
FILE_KEYS = ("file_name", "filename", "file", "image")
CAPTION_KEYS = ("text", "caption", "prompt")
WORD = re.compile(r'"([^"\r\n]+)"|([^"\r\n,;\t|]+)')
# What changes how a picture is learnt, in a way that this trainer does not have.
PICTURE_KEYS = ("mask", "masks", "mask_path", "conditioning_image", "control_image", "chosen", "rejected")


@dataclass(frozen=True)
class ListedPicture:
    """A picture, its caption ("" where there is none), and where the caption stands. Names have `/`."""

    name: str
    caption: str = ""
    caption_file: str = ""
    caption_line: int | None = None


@dataclass(frozen=True)
class ListingProblem:
    """What is wrong with a line of a file (from 1), or with the whole file; only an error cannot be trained on.

    `reason` and `rows` as in a RowFinding: `rows` of the list are lost by it.
    """

    code: str
    file: str
    line: int | None
    message: str
    cure: str
    level: Level = Level.ERROR
    reason: str = ""
    rows: int = 1

    @property
    def loses_rows(self) -> bool:
        return self.level == Level.ERROR or self.code == SET_ASIDE

    def to_finding(self) -> RowFinding:
        """Return the same as what is said of a row."""
        message, is_set_aside = f"{self.message}; {self.cure}", self.code == SET_ASIDE
        reason = self.reason or self.message
        return RowFinding(self.file, self.line or 1, message, self.level, reason, self.rows, is_set_aside)


SET_ASIDE = "picture_set_aside"


@dataclass
class PictureListing:
    """The pictures to learn from, and what is wrong; `lost` are those whose own row is refused or sets them aside."""

    pictures: list[ListedPicture] = field(default_factory=list)
    problems: list[ListingProblem] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)


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
    set_aside_by: str | None = None


def is_picture_name(name: str) -> bool:
    """Tell whether a file, named from the data's folder on, is a picture to train on: not one in a hidden folder."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES and not is_left_aside(name)


def list_named_pictures(
    names: Iterable[str],
    read: Callable[[str], bytes],
    metadata: MetadataFile | None = None,
    *,
    max_rows: int | None = None,
) -> PictureListing:
    """List every picture among the files `names`; its caption is the metadata's, else that of the text file beside it.

    A metadata file in a folder names the files from there on, or from the data's own folder. One that is given is the
    list: pictures that it does not name are left out. Folders are walked in the order of their names, as the trainer
    walks them. A picture whose row is refused goes with its row, whatever other caption it has: the two are one loss.
    `read` may raise OSError. Raises: TooManyRows, for more than `max_rows` of metadata.
    """
    in_all = set(names)
    files = {name for name in in_all if not is_left_aside(name)}
    captions = _Captions(files, max_rows)
    listing = captions.listing
    for file in _find_metadata(files, read) if metadata is None else [metadata]:
        captions.read(file)
    used = set[str]()
    for name in sorted(files, key=lambda name: name.split("/")):
        if is_picture_name(name) and (metadata is None or captions.names(name)):
            entry = captions.entries.pop(name, None)
            picture = _list_picture(name, captions, read, entry, listing.problems)
            used.add(picture.caption_file)
            if entry is not None and entry.set_aside_by is not None:
                listing.problems.append(_tell_set_aside(name, entry))
                listing.lost.add(name)
            elif entry is None and name in captions.refused:
                listing.lost.add(name)
            else:
                listing.pictures.append(picture)
    listing.problems += [_tell_missing(name, entry, in_all) for name, entry in captions.entries.items()]
    if metadata is None:
        pictured = {_name_stem(name) for name in files if is_picture_name(name)}
        judged = (_judge_unread(name, pictured) for name in sorted(files - used))
        listing.problems += [problem for problem in judged if problem is not None]
    listing.problems += _tell_hidden(name for name in in_all - files if _is_data_name(name))
    return listing


def _tell_missing(name: str, entry: _Entry, in_all: Collection[str]) -> ListingProblem:
    """Tell of a row that names no picture, or one that is left aside."""
    told, reason = f"names {name}, which is not there", "names a picture that is not there"
    cure = "correct the name or delete the row"
    if name in in_all:
        told, reason = (
            f"names {name}, which is left aside for its name",
            "names a picture that is left aside for its name",
        )
        cure = "rename the picture, there and in the row"
    return ListingProblem("file_missing", entry.file, entry.line, told, cure, reason=reason)


def _tell_set_aside(name: str, entry: _Entry) -> ListingProblem:
    message = f"says {entry.set_aside_by} of {name}, so it is not learnt"
    cure = "take that out where it means something else"
    reason = "the row says that it is not to be learnt"
    return ListingProblem(SET_ASIDE, entry.file, entry.line, message, cure, Level.HINT, reason)


def _is_data_name(name: str) -> bool:
    """Tell of a hidden file whether it would be read if it were not: those of systems are nobody's data."""
    path = PurePosixPath(name)
    is_data = path.suffix.lower() in {*PICTURE_SUFFIXES, *SIDECAR_SUFFIXES} or is_metadata_name(name)
    return is_data and not path.name.startswith("._")


def _tell_hidden(names: Iterable[str]) -> Iterator[ListingProblem]:
    told = tell_left_aside(names)
    if told is not None:
        message, _, cure = told.message.partition("; ")
        yield ListingProblem("file_hidden", told.file, None, message, cure, Level.HINT, rows=0)


def is_metadata_name(name: str) -> bool:
    return PurePosixPath(name).name.lower() in METADATA_NAMES


def _find_metadata(files: set[str], read: Callable[[str], bytes]) -> list[MetadataFile]:
    """Find the metadata files of all folders, those of outer folders first."""
    found = sorted((name for name in files if is_metadata_name(name)), key=lambda name: (name.count("/"), name))
    return [MetadataFile(name, _reader(read, name)) for name in found]


def _reader(read: Callable[[str], bytes], name: str) -> Callable[[], bytes]:
    return lambda: read(name)


def _name_stem(name: str) -> str:
    return fold_name(str(PurePosixPath(name).with_suffix("")))


def _judge_unread(name: str, pictured: Collection[str]) -> ListingProblem | None:
    """Judge a file that is neither a picture nor the caption of one: a word where somebody may miss it."""
    path = PurePosixPath(name)
    if is_picture_name(name) or is_metadata_name(name) or path.name.startswith("."):
        return None
    if path.suffix.lower() in SIDECAR_SUFFIXES and _name_stem(name) in pictured:
        message, cure = "is not read: its picture has a caption already", "leave it out, or take the other out"
        return ListingProblem("sidecar_unread", name, None, message, cure, Level.HINT, rows=0)
    if path.suffix.lower() in SIDECAR_SUFFIXES:
        message, cure = "belongs to no picture", "name it like its picture"
        return ListingProblem("sidecar_alone", name, None, message, cure, Level.WARNING, rows=0)
    message, cure = "is not read: this is a data set of pictures", "leave it out"
    return ListingProblem("file_unread", name, None, message, cure, Level.HINT, rows=0)


def _list_picture(
    name: str, files: "_Captions", read: Callable[[str], bytes], entry: _Entry | None, problems: list[ListingProblem]
) -> ListedPicture:
    if entry is not None and entry.caption:
        return ListedPicture(name, entry.caption, entry.file, entry.line)
    beside = (str(PurePosixPath(name).with_suffix(suffix)) for suffix in SIDECAR_SUFFIXES)
    sidecar = next((found for each in beside if (found := files.find_file(each)) is not None), None)
    if sidecar is None:
        return ListedPicture(name)
    caption = _decode(MetadataFile(sidecar, _reader(read, sidecar)), problems)
    return ListedPicture(name, " ".join((caption or "").split()), sidecar, 1)


class _Captions:
    """The captions of metadata files by the names of their pictures, and what is wrong with the rows."""

    def __init__(self, files: set[str], max_rows: int | None) -> None:
        self.files, self.max_rows = files, max_rows
        self._composed = {_compose(name): name for name in sorted(files)}
        self._folded = _name_by_folded(files)
        self.entries: dict[str, _Entry] = {}
        self.refused: set[str] = set()
        self.listing = PictureListing()
        self._rows = 0

    def read(self, file: MetadataFile) -> None:
        """Read a metadata file. Raises: TooManyRows."""
        problems = self.listing.problems
        text = _decode(file, problems)
        if text is None:
            return
        cure = "each row needs file_name and text"
        for row in _read_records(text, PurePosixPath(file.name).suffix.lower()):
            self._rows += 1
            if self.max_rows is not None and self._rows > self.max_rows:
                raise TooManyRows(self.max_rows)
            if isinstance(row, BrokenRow):
                found = ListingProblem("metadata_row", file.name, row.line, row.message, cure, reason=row.reason)
                lost = self._refuse(_find_words(row.text), file.name)
                problems.append(replace(found, rows=max(row.rows, lost)))
                continue
            problem = self._try_to_add(*row, file.name)
            if problem:
                lost = self._refuse(_list_words(row[1]), file.name)
                found = ListingProblem("metadata_row", file.name, row[0], problem, cure, rows=max(1, lost))
                problems.append(found)

    def names(self, name: str) -> bool:
        """Tell whether a row names this picture, be the row refused or not."""
        return name in self.entries or name in self.refused

    def _refuse(self, words: Iterable[str], file: str) -> int:
        """Refuse the pictures that a refused row names among its words; returns how many are new."""
        placed = {self._place(word, file) for word in words}
        new = {name for name in placed & self.files if is_picture_name(name) and not self.names(name)}
        self.refused |= new
        return len(new)

    def _try_to_add(self, line: int, record: Any, file: str) -> str | None:
        if not isinstance(record, dict):
            return "is no object with keys"
        try:
            refuse_key_twice(record)
            return self._add(record, file, line)
        except RowRefused as error:
            return str(error)

    def _add(self, record: dict[str, Any], file: str, line: int) -> str | None:
        name = next((record[key] for key in FILE_KEYS if record.get(key)), None)
        caption = next((record[key] for key in CAPTION_KEYS if record.get(key)), "")
        if not isinstance(name, str):
            return "names no file"
        if not isinstance(caption, str):
            return "has a caption that is no text"
        if any("\ud800" <= character <= "\udfff" for character in name + caption):
            return "has half a surrogate pair, which is no character"
        name = self._place(name, file)
        if name in self.entries:
            before = self.entries[name]
            elsewhere = f"{name} was named before, in line {before.line} of {before.file}"
            return f"{name} was named before, in line {before.line}" if before.file == file else elsewhere
        stray = next((key for key in PICTURE_KEYS if is_said(record.get(key))), None)
        if stray is not None:
            return f"{stray} changes how a picture is learnt, and is not trained here"
        switch = find_switched_off(record)
        set_aside_by = f"{switch}: {record[switch]!r}" if switch else None
        self.entries[name] = _Entry(" ".join(caption.split()), file, line, set_aside_by)
        return None

    def find_file(self, name: str) -> str | None:
        """Find a file by its name, in whichever way its accents are written, and in another case where one has it."""
        if name in self.files:
            return name
        return self._composed.get(_compose(name)) or self._folded.get(fold_name(name))

    def _place(self, name: str, file: str) -> str:
        """Name a picture as its file is named: from the metadata's folder on, else from the data's own.

        macOS writes accents in two characters, most others in one, and cameras write `B.PNG` where a list that was made
        on Windows has `b.png`: they are the same name.
        """
        name = name.replace("\\", "/").removeprefix("./")
        beside = str(PurePosixPath(file).parent / name)
        for written in (beside, name):
            found = self.find_file(written)
            if found is not None:
                return found
        return beside


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def fold_name(name: str) -> str:
    """Write a name in the one way in which its accents and its case make no difference."""
    return _compose(_compose(name).casefold())


def _name_by_folded(files: Iterable[str]) -> dict[str, str]:
    """Name each file by its name in one case; of several that differ in nothing else, none."""
    found: dict[str, list[str]] = {}
    for name in files:
        found.setdefault(fold_name(name), []).append(name)
    return {folded: names[0] for folded, names in found.items() if len(names) == 1}


def _read_records(text: str, suffix: str) -> Iterator[tuple[int, Any] | BrokenRow]:
    if suffix in {".csv", ".tsv"}:
        yield from iter_csv(text, usual="\t" if suffix == ".tsv" else ",")
        return
    for number, line in iter_lines(text):
        try:
            yield number, load_record(line)
        except (ValueError, RecursionError) as error:
            yield BrokenRow(number, f"is not JSON: {error}", "is not JSON", text=line)


def _find_words(text: str) -> Iterator[str]:
    """Find what may be the name of a picture in rows that cannot be read: what stands in quotes or between commas."""
    for quoted, bare in WORD.findall(text):
        yield (quoted or bare).strip()


def _list_words(record: Any) -> list[str]:
    """List what may be the name of a picture in a row that is read and refused."""
    if not isinstance(record, dict):
        return []
    name = next((record[key] for key in FILE_KEYS if record.get(key)), None)
    return [name] if isinstance(name, str) else [value for value in record.values() if isinstance(value, str)]


def _decode(file: MetadataFile, problems: list[ListingProblem]) -> str | None:
    try:
        decoded = decode_text(file.read())
    except EncodingUnknown as error:
        problems.append(ListingProblem("encoding", file.name, None, str(error), CURE))
    except OSError as error:
        message, cure = f"cannot be read ({error.strerror})", "give it read permission"
        problems.append(ListingProblem("file_unreadable", file.name, None, message, cure))
    else:
        if decoded.is_guess:
            message, cure = f"was read as {decoded.encoding}, since it is not UTF-8", "save it as UTF-8"
            problems.append(ListingProblem("encoding_guessed", file.name, None, message, cure, Level.HINT, rows=0))
        return decoded.text
    return None
