"""Reading text rows from files: JSON lines, JSON, CSV and Parquet, in the forms of `text_records`."""

import csv
import importlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pricing.datasets.text_format import Encode, EncodedRow, TextFormat, TextRow, encode_row
from pricing.datasets.text_records import RowRefused, to_row

__all__ = [
    "TEXT_SUFFIXES",
    "Encode",
    "EncodedRow",
    "ParsedRows",
    "RowFinding",
    "TextFormat",
    "TextRow",
    "encode_row",
    "parse_text_files",
]

TEXT_SUFFIXES = (".jsonl", ".csv", ".json", ".parquet")


@dataclass(frozen=True)
class RowFinding:
    """A row that cannot be used: where it is (1-based line) and why."""

    file: str
    line: int
    message: str


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a record that could not be parsed at all."""

    reason: str


@dataclass(frozen=True)
class ParsedRows:
    rows: list[TextRow] = field(default_factory=list)
    findings: list[RowFinding] = field(default_factory=list)


def parse_text_files(files: Iterable[tuple[str, bytes]]) -> ParsedRows:
    """Read every text file among `files` (name, content), in the order of their names; others are passed over."""
    parsed = ParsedRows()
    for name, content in sorted(files):
        if not name.lower().endswith(TEXT_SUFFIXES):
            continue
        _parse_file(name, content, parsed)
    return parsed


def _parse_file(name: str, content: bytes, parsed: ParsedRows) -> None:
    suffix = name[name.rindex(".") :].lower()
    if suffix == ".parquet":
        for line, record in _read_parquet(content):
            _take_record(name, line, record, parsed)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        parsed.findings.append(RowFinding(name, 1, f"not UTF-8 (byte {error.start}); save the file as UTF-8"))
        return
    for line, record in _READERS[suffix](text):
        _take_record(name, line, record, parsed)


def _take_record(name: str, line: int, record: Any, parsed: ParsedRows) -> None:
    if isinstance(record, _Unreadable):
        parsed.findings.append(RowFinding(name, line, record.reason))
        return
    try:
        parsed.rows.append(to_row(record))
    except RowRefused as error:
        parsed.findings.append(RowFinding(name, line, str(error)))


def _read_jsonl(text: str) -> Iterable[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, _Unreadable(f"not JSON: {error}")


def _read_csv(text: str) -> Iterable[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        yield reader.line_num, _Unreadable(f"not CSV: {error}")


def _read_json(text: str) -> Iterable[tuple[int, Any]]:
    """Read one list of rows, as alpaca and sharegpt files come; lines are the numbers of the rows."""
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [(1, _Unreadable(f"not JSON: {error}"))]
    if not isinstance(records, list):
        return [(1, _Unreadable("a .json file holds one list of rows; for a row on each line name it .jsonl"))]
    return enumerate(records, start=1)


def _read_parquet(content: bytes) -> Iterable[tuple[int, Any]]:
    """Read Parquet with pyarrow, which is large and therefore no dependency of ours."""
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        return [(1, _Unreadable("Parquet is read with pyarrow; run `pip install pyarrow`, or save as .jsonl"))]
    try:
        return enumerate(parquet.read_table(io.BytesIO(content)).to_pylist(), start=1)
    except pyarrow.ArrowException as error:
        return [(1, _Unreadable(f"not Parquet: {error}"))]


_READERS: dict[str, Callable[[str], Iterable[tuple[int, Any]]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
}
