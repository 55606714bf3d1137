"""Every row of the text files with the place where it stands, judged by the parser that quote and training use."""

import csv
import importlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pricing.datasets.finding_level import Level
from pricing.datasets.text_decoding import EncodingUnknown, decode_text
from pricing.datasets.text_records import RowRefused, to_row
from pricing.datasets.text_rows import TextRow, parse_text_files
from trainer.data.quality_report import Finding

CURE = "correct it, or set skip_bad_rows: true to train without it"


@dataclass(frozen=True)
class PlacedRow:
    """A usable row, where it stands, and all that its record says. In a list (JSON, Parquet) `line` is its number."""

    row: TextRow
    file: str
    line: int
    record: dict[str, Any]


@dataclass(frozen=True)
class _Placed:
    rows: list[PlacedRow]
    findings: list[Finding]

    def refuse(self, file: str, line: int, message: str) -> None:
        self.findings.append(Finding("row_unusable", Level.ERROR, file, line, message, CURE, is_bad_row=True))


def place_rows(files: Iterable[tuple[str, bytes | OSError]]) -> tuple[list[PlacedRow], list[Finding]]:
    """List the usable rows, and what is wrong with the others and with whole files.

    Raises: nothing for what is in the files.
    """
    placed = _Placed([], [])
    for name, content in files:
        if isinstance(content, OSError):
            message = f"cannot be read ({content.strerror})"
            placed.findings.append(
                Finding("file_unreadable", Level.ERROR, name, None, message, "give it read permission")
            )
        elif not content.strip():
            placed.findings.append(Finding("file_empty", Level.ERROR, name, None, "has no content", "delete it"))
        else:
            _place_file(name, _to_utf8(name, content, placed), placed)
    return placed.rows, placed.findings


def _place_file(name: str, content: bytes, placed: _Placed) -> None:
    records = _read_list(name, content)
    if records is not None:
        _place_list(name, records, placed)
    else:
        _place_pieces(name, content, placed)


def _to_utf8(name: str, content: bytes, placed: _Placed) -> bytes:
    """Write a text file as UTF-8, to be cut into rows; what cannot be decoded stays, for the parser to refuse."""
    if name.lower().endswith(".parquet"):
        return content
    try:
        decoded = decode_text(content)
    except EncodingUnknown:
        return content
    if decoded.is_guess:
        message, cure = f"was read as {decoded.encoding}, since it is not UTF-8", "save it as UTF-8"
        placed.findings.append(Finding("encoding_guessed", Level.HINT, name, None, message, cure))
    return decoded.text.encode()


def _place_list(name: str, records: list[Any], placed: _Placed) -> None:
    for number, record in enumerate(records, start=1):
        try:
            placed.rows.append(PlacedRow(to_row(record), name, number, dict(record)))
        except RowRefused as error:
            placed.refuse(name, number, str(error))


def _place_pieces(name: str, content: bytes, placed: _Placed) -> None:
    """Parse each record as a file of its own, and so a list that cannot be read: the parser says why."""
    for line, piece in _split_records(name, content):
        parsed = parse_text_files([(name, piece)])
        placed.rows.extend(PlacedRow(row, name, line, _read_record(name, piece)) for row in parsed.rows)
        for problem in parsed.findings:
            placed.refuse(name, line, problem.message)


def _read_list(name: str, content: bytes) -> list[Any] | None:
    """Read the records of a file that holds one list; None for other kinds, and where there is none to be read."""
    suffix = name.lower().rpartition(".")[2]
    if suffix == "parquet":
        return _read_parquet(content)
    if suffix != "json":
        return None
    try:
        records = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return records if isinstance(records, list) else None


def _read_parquet(content: bytes) -> list[Any] | None:
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        return None
    try:
        return list(parquet.read_table(io.BytesIO(content)).to_pylist())
    except pyarrow.ArrowException:
        return None


def _split_records(name: str, content: bytes) -> Iterator[tuple[int, bytes]]:
    """Split a file into (line, one-row file): lines of a JSONL; records of a CSV, each below a copy of its heading."""
    if name.lower().endswith(".jsonl"):
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            if line.strip():
                yield number, line
    elif name.lower().endswith(".csv"):
        yield from _split_csv(content)
    else:
        yield 1, content


def _read_record(name: str, record: bytes) -> dict[str, Any]:
    """Read the keys and values of a one-row file that the parser accepted."""
    text = record.decode("utf-8-sig")
    if name.lower().endswith(".csv"):
        return dict(next(csv.DictReader(io.StringIO(text, newline=""))))
    return dict(json.loads(text))


def _split_csv(content: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        heading = next(reader, [])
        for record in reader:
            if record:
                yield reader.line_num, _write_csv([heading, record])
    except (UnicodeDecodeError, csv.Error):
        yield 1, content  # the parser says what is wrong with it


def _write_csv(records: list[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(records)
    return written.getvalue().encode()
