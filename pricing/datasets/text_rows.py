"""Reading text rows from files: JSON lines, JSON, CSV and Parquet, in the forms of `text_records`, one by one."""

import csv
import importlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pricing.datasets.finding_level import Level
from pricing.datasets.text_decoding import CURE, EncodingUnknown, decode_text
from pricing.datasets.text_format import Encode, EncodedRow, RowLength, TextFormat, TextRow, encode_row, measure_row
from pricing.datasets.text_records import RowRefused, to_row

__all__ = [
    "TEXT_SUFFIXES",
    "Encode",
    "EncodedRow",
    "ParsedRows",
    "RowFinding",
    "RowLength",
    "TextFormat",
    "TextRow",
    "TooManyRows",
    "encode_row",
    "iter_text_files",
    "measure_row",
    "parse_text_files",
]

TEXT_SUFFIXES = (".jsonl", ".csv", ".json", ".parquet")
GUESSED = "was read as GBK, since it is not UTF-8; save the file as UTF-8 where its text looks wrong"
REST_IS_LOST = "the rows after it are not read"
NOT_EMPTY = re.compile(r"[^\n]+")
SPACE = re.compile(r"\s*")
LINES_OF_A_ROW = 16  # a row may have line breaks in it; more lines than this for each row are no data
RECORD_PIECES = (1 << 12, 1 << 16, 1 << 20, 1 << 24)  # characters; no row is longer than the last
TOO_LONG = f"has more than {RECORD_PIECES[-1]} characters; split it"
DECODER = json.JSONDecoder()
PARQUET_BATCH = 256


@dataclass(frozen=True)
class RowFinding:
    """A row that cannot be used (an error), or what is to be known of one: where it is (1-based line) and why."""

    file: str
    line: int
    message: str
    level: Level = Level.ERROR


class TooManyRows(ValueError):
    """The files have more rows than are wanted; reading stopped there."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"more than {limit} rows")


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a record that could not be parsed at all."""

    reason: str


@dataclass(frozen=True)
class ParsedRows:
    rows: list[TextRow] = field(default_factory=list)
    findings: list[RowFinding] = field(default_factory=list)

    @property
    def errors(self) -> list[RowFinding]:
        """List the findings of rows that cannot be used."""
        return [finding for finding in self.findings if finding.level == Level.ERROR]


def parse_text_files(files: Iterable[tuple[str, bytes]]) -> ParsedRows:
    """Read every text file among `files` (name, content), in the order of their names; others are passed over."""
    parsed = ParsedRows()
    for row in iter_text_files(files):
        if isinstance(row, TextRow):
            parsed.rows.append(row)
        else:
            parsed.findings.append(row)
    return parsed


def iter_text_files(
    files: Iterable[tuple[str, bytes]], *, max_rows: int | None = None
) -> Iterator[TextRow | RowFinding]:
    """Read the text files one row after the other: the row, or why there is none; nothing is kept of those before.

    Raises: TooManyRows, once there are more than `max_rows`, usable or not.
    """
    rows = 0
    for name, content in sorted(files):
        if not name.lower().endswith(TEXT_SUFFIXES):
            continue
        for line, record in _read_records(name, content, max_rows):
            if isinstance(record, RowFinding):
                yield record
                continue
            rows += 1
            if max_rows is not None and rows > max_rows:
                raise TooManyRows(max_rows)
            yield _take_record(name, line, record)


def _read_records(name: str, content: bytes, max_rows: int | None) -> Iterator[tuple[int, Any]]:
    suffix = name[name.rindex(".") :].lower()
    if suffix == ".parquet":
        yield from _read_parquet(content)
        return
    try:
        decoded = decode_text(content)
    except EncodingUnknown as error:
        yield 1, _Unreadable(f"{error}; {CURE}")
        return
    if decoded.is_guess:
        yield 1, RowFinding(name, 1, GUESSED, Level.HINT)
    if max_rows is not None and decoded.text.count("\n") > LINES_OF_A_ROW * max_rows:
        raise TooManyRows(max_rows)
    yield from _READERS[suffix](decoded.text)


def _take_record(name: str, line: int, record: Any) -> TextRow | RowFinding:
    if isinstance(record, _Unreadable):
        return RowFinding(name, line, record.reason)
    try:
        return to_row(record)
    except RowRefused as error:
        return RowFinding(name, line, str(error))


def iter_lines(text: str) -> Iterator[tuple[int, str]]:
    """Iterate over the lines that are not blank, each with its number (from 1); no list of all is made."""
    number, seen = 1, 0
    for match in NOT_EMPTY.finditer(text):
        number += text.count("\n", seen, match.start())
        seen = match.start()
        if not match[0].isspace():
            yield number, match[0]


def load_record(line: str) -> Any:
    """Read the JSON of one line, within a limit: what JSON writes in two characters takes sixty bytes of memory.

    Raises: ValueError, RecursionError.
    """
    if len(line) > RECORD_PIECES[-1]:
        raise ValueError(TOO_LONG)
    return json.loads(line)


def _read_jsonl(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in iter_lines(text):
        try:
            yield number, load_record(line)
        except (ValueError, RecursionError) as error:
            yield number, _Unreadable(f"not JSON: {error}")


def iter_csv(text: str) -> Iterator[tuple[int, dict[str | None, Any] | str]]:
    """Iterate over the records of a CSV file with a heading: each with its last line's number, or why it is none.

    A quote that is never closed, or two columns of one name, would lose what is in the file without a word.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        twice = _find_twice(reader.fieldnames or ())
        if twice is not None:
            yield 1, f"the heading has {twice} more than once; keep one; {REST_IS_LOST}"
            return
        for record in reader:
            if any(value.strip() for value in record.get(None) or ()):
                yield reader.line_num, "has more fields than the heading; put texts with commas in quotes"
            else:
                yield reader.line_num, record
    except csv.Error as error:
        cure = "close each quote, and write a quote inside of quotes twice"
        yield reader.line_num + 1, f"not CSV: {error}; {cure}; {REST_IS_LOST}"


def _find_twice(names: Iterable[str]) -> str | None:
    counts = Counter(name.strip() for name in names)
    return next((name for name, count in counts.items() if name and count > 1), None)


def _read_csv(text: str) -> Iterator[tuple[int, Any]]:
    for line, record in iter_csv(text):
        yield line, _Unreadable(record) if isinstance(record, str) else record


def _read_json(text: str) -> Iterator[tuple[int, Any]]:
    """Read one list of rows, as alpaca and sharegpt files come; lines are the numbers of the rows."""
    place, number = _skip_space(text, 0), 0
    if not text.startswith("[", place):
        yield 1, _Unreadable("a .json file holds one list of rows; for a row on each line name it .jsonl")
        return
    place = _skip_space(text, place + 1)
    while not text.startswith("]", place):
        number += 1
        try:
            record, place = _read_element(text, place)
        except (ValueError, RecursionError) as error:
            yield number, _Unreadable(f"not JSON: {error}; {REST_IS_LOST}")
            return
        yield number, record
    if text[place + 1 :].strip():
        yield number + 1, _Unreadable("not JSON: there is more after the list, which is not read; write one list")


def _read_element(text: str, place: int) -> tuple[Any, int]:
    """Read the element of a list that begins at `place`; returns it and where the next, or the end, begins.

    A list may be anything: it is read element by element, each at first from a short piece, so that no list is held
    whole. Raises: ValueError, RecursionError.
    """
    for longest in RECORD_PIECES:
        piece = text[place : place + longest]
        is_all = place + longest >= len(text)
        try:
            record, end = DECODER.raw_decode(piece)
        except ValueError as error:
            if is_all:
                raise
            if longest == RECORD_PIECES[-1]:
                raise ValueError(TOO_LONG) from error
            continue
        if end < len(piece) or is_all:
            break
    following = _skip_space(text, place + end)
    if text.startswith(",", following):
        return record, _skip_space(text, following + 1)
    if not text.startswith("]", following):
        raise ValueError("a comma or ] is missing between two rows")
    return record, following


def _skip_space(text: str, place: int) -> int:
    match = SPACE.match(text, place)
    assert match is not None, "no space at all is a match, too"
    return match.end()


def _read_parquet(content: bytes) -> Iterator[tuple[int, Any]]:
    """Read Parquet with pyarrow, which is large and therefore no dependency of ours; rows come in small batches."""
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        yield 1, _Unreadable("Parquet is read with pyarrow; run `pip install pyarrow`, or save as .jsonl")
        return
    number = 0
    try:
        for batch in parquet.ParquetFile(io.BytesIO(content)).iter_batches(batch_size=PARQUET_BATCH):
            for record in batch.to_pylist():
                number += 1
                yield number, record
    except pyarrow.ArrowException as error:
        yield number + 1, _Unreadable(f"not Parquet: {error}; {REST_IS_LOST}")


_READERS: dict[str, Callable[[str], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
}
