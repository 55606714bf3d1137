"""Reading text rows from files: JSON lines, JSON, CSV, TSV and Parquet, in the forms of `text_records`, one by one."""

import importlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pricing.datasets.csv_file import BrokenRow, iter_csv
from pricing.datasets.file_names import TEXT_SUFFIXES, is_left_aside, tell_left_aside
from pricing.datasets.finding_level import Level
from pricing.datasets.parquet_pages import ParquetDamaged, ParquetTooLarge
from pricing.datasets.parquet_rows import iter_parquet, open_parquet
from pricing.datasets.row_counts import RowCounts, RowTally
from pricing.datasets.row_finding import RowFinding
from pricing.datasets.telling_keys import take_pairs
from pricing.datasets.text_decoding import CURE, EncodingUnknown, decode_text
from pricing.datasets.text_format import Encode, EncodedRow, RowLength, TextFormat, TextRow, encode_row, measure_row
from pricing.datasets.text_records import RowRefused, RowSetAside, to_row

__all__ = [
    "TEXT_SUFFIXES",
    "Encode",
    "EncodedRow",
    "ParsedRows",
    "PlacedRow",
    "RowFinding",
    "RowLength",
    "TextFormat",
    "TextRow",
    "TooManyRows",
    "encode_row",
    "is_text_name",
    "iter_placed_rows",
    "iter_text_files",
    "measure_row",
    "parse_text_files",
]

GUESSED = "the encoding is a guess"
NOT_EMPTY = re.compile(r"[^\n]+")
SPACE = re.compile(r"\s*")
LINES_OF_A_ROW = 16  # a row may have line breaks in it; more lines than this for each row are no data
RECORD_PIECES = (1 << 12, 1 << 16, 1 << 20, 1 << 24)  # characters; no row is longer than the last
TOO_LONG = f"has more than {RECORD_PIECES[-1]} characters; split it"

# A file in memory, or how to open it: it is read when its turn comes, and nothing of it is kept.
Content = bytes | Callable[[], BinaryIO]


class TooManyRows(ValueError):
    """The files have more rows than are wanted; reading stopped there."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"more than {limit} rows")


@dataclass(frozen=True)
class _Unreadable:
    """Stands for records that could not be parsed at all."""

    message: str
    reason: str = ""
    rows: int = 1


@dataclass(frozen=True)
class PlacedRow:
    """A usable row, where it stands, and all that its record says. In a list (JSON, Parquet) `line` is its number."""

    row: TextRow
    file: str
    line: int
    record: Mapping[str, Any]


@dataclass(frozen=True)
class ParsedRows:
    rows: list[TextRow] = field(default_factory=list)
    findings: list[RowFinding] = field(default_factory=list)

    @property
    def errors(self) -> list[RowFinding]:
        """List the findings of rows that cannot be used."""
        return [finding for finding in self.findings if finding.level == Level.ERROR]

    @property
    def counts(self) -> RowCounts:
        """Count every row that was read by what became of it."""
        tally = RowTally(usable=len(self.rows))
        tally.add_findings(self.findings)
        return tally.sum_up()


def is_text_name(name: str) -> bool:
    """Tell whether a file is read for rows: by its suffix, and not hidden."""
    return name.lower().endswith(TEXT_SUFFIXES) and not is_left_aside(name)


def parse_text_files(files: Iterable[tuple[str, Content]]) -> ParsedRows:
    """Read every text file among `files` (name, content), in the order of their names; others are passed over."""
    parsed = ParsedRows()
    for row in iter_text_files(files):
        if isinstance(row, TextRow):
            parsed.rows.append(row)
        else:
            parsed.findings.append(row)
    return parsed


def iter_text_files(
    files: Iterable[tuple[str, Content]], *, max_rows: int | None = None
) -> Iterator[TextRow | RowFinding]:
    """Read the text files one row after the other: the row, or why there is none; nothing is kept of those before.

    Raises: TooManyRows, once there are more than `max_rows`, usable or not.
    """
    for placed in iter_placed_rows(files, max_rows=max_rows):
        yield placed.row if isinstance(placed, PlacedRow) else placed


def iter_placed_rows(
    files: Iterable[tuple[str, Content]], *, max_rows: int | None = None
) -> Iterator[PlacedRow | RowFinding]:
    """Read the same, each row with its place and its record. Raises: TooManyRows."""
    rows, aside = 0, list[str]()
    for name, content in sorted(files, key=_name_of):
        if not is_text_name(name):
            aside += [name] if name.lower().endswith(TEXT_SUFFIXES) else []
            continue
        for line, record in _read_records(name, content, max_rows):
            if isinstance(record, RowFinding):
                yield record
                continue
            rows += 1
            if max_rows is not None and rows > max_rows:
                raise TooManyRows(max_rows)
            yield _take_record(name, line, record)
    told = tell_left_aside(aside)
    if told is not None:
        yield told


def _name_of(file: tuple[str, Content]) -> str:
    return file[0]


def open_content(content: Content) -> BinaryIO:
    """Open a file, from its beginning."""
    return io.BytesIO(content) if isinstance(content, bytes) else content()


def _read_records(name: str, content: Content, max_rows: int | None) -> Iterator[tuple[int, Any]]:
    suffix = name[name.rindex(".") :].lower()
    if suffix == ".parquet":
        with open_content(content) as file:
            yield from _read_parquet(file)
        return
    try:
        with open_content(content) as file:
            decoded = decode_text(file.read())
    except EncodingUnknown as error:
        yield 1, _Unreadable(f"{error}; {CURE}", "the file is in no encoding that can be told")
        return
    if decoded.is_guess:
        yield 1, RowFinding(name, 1, _tell_guess(decoded.encoding), Level.HINT, reason=GUESSED, rows=0)
    if max_rows is not None and decoded.text.count("\n") > LINES_OF_A_ROW * max_rows:
        raise TooManyRows(max_rows)
    yield from _READERS[suffix](decoded.text)


def _tell_guess(encoding: str) -> str:
    return f"was read as {encoding}, since it is not UTF-8; save the file as UTF-8 where its text looks wrong"


def _take_record(name: str, line: int, record: Any) -> PlacedRow | RowFinding:
    if isinstance(record, _Unreadable):
        return RowFinding(name, line, record.message, reason=record.reason, rows=record.rows)
    try:
        return PlacedRow(to_row(record), name, line, record)
    except RowRefused as error:
        return RowFinding(name, line, str(error), reason=error.reason)
    except RowSetAside as error:
        return RowFinding(name, line, str(error), Level.HINT, is_set_aside=True)


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
    return DECODER.decode(line)


DECODER = json.JSONDecoder(object_pairs_hook=take_pairs)


def _read_jsonl(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in iter_lines(text):
        try:
            yield number, load_record(line)
        except (ValueError, RecursionError) as error:
            yield number, _Unreadable(f"not JSON: {error}", "not JSON")


def _read_csv(text: str, usual: str = ",") -> Iterator[tuple[int, Any]]:
    for row in iter_csv(text, usual=usual):
        if isinstance(row, BrokenRow):
            yield row.line, _Unreadable(row.message, row.reason, row.rows)
        else:
            yield row


def _read_tsv(text: str) -> Iterator[tuple[int, Any]]:
    yield from _read_csv(text, "\t")


def _read_json(text: str) -> Iterator[tuple[int, Any]]:
    """Read one list of rows, as alpaca and sharegpt files come; lines are the numbers of the rows."""
    place, number = _skip_space(text, 0), 0
    if not text.startswith("[", place):
        rows = max(1, sum(line.lstrip().startswith("{") for _, line in iter_lines(text)))
        reason = "a .json file holds one list of rows; for a row on each line name it .jsonl"
        yield 1, _Unreadable(reason, rows=rows)
        return
    place = _skip_space(text, place + 1)
    while not text.startswith("]", place):
        number += 1
        try:
            record, place = _read_element(text, place)
        except (ValueError, RecursionError) as error:
            message = _describe_broken_list(text, place, error)
            yield number, _Unreadable(message, "not JSON, so that the rest of its file is not read")
            return
        yield number, record
    if text[place + 1 :].strip():
        yield number + 1, _Unreadable("not JSON: there is more after the list, which is not read; write one list")


def _describe_broken_list(text: str, place: int, error: Exception) -> str:
    """Say in which line of the file a list breaks, and how many lines are lost by it: editors count lines."""
    at = place + error.pos if isinstance(error, json.JSONDecodeError) else place
    said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    first, last = text.count("\n", 0, place) + 1, text.rstrip().count("\n") + 1
    lost = f"the lines {first} to {last} are not read" if last > first else f"the rest of line {first} is not read"
    return f"not JSON: {said} in line {text.count(chr(10), 0, at) + 1} of the file; {lost}"


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


def _read_parquet(opened: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Read Parquet with pyarrow, which is large and therefore no dependency of ours; rows come in small batches."""
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError:
        yield 1, _Unreadable("Parquet is read with pyarrow; run `pip install pyarrow`, or save as .jsonl")
        return
    number = in_all = 0
    try:
        in_all = open_parquet(opened).metadata.num_rows
        for record in iter_parquet(opened):
            number += 1
            yield number, record
    except ParquetTooLarge as error:
        lost = max(1, in_all - number)
        yield number + 1, _Unreadable(f"{error}; {lost} rows from here on are not read", "too large", lost)
    except (pyarrow.ArrowException, ParquetDamaged) as error:
        lost = max(1, in_all - number)
        message = f"not Parquet: {error}; {lost} rows from here on are not read"
        yield number + 1, _Unreadable(message, "not Parquet", lost)


_READERS: dict[str, Callable[[str], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
}
