"""Captions written into the files of a data set, each where the picture has its own: a row, or a file beside it. Pure.

A picture without a caption gets a text file beside it, or, where another picture would read that as well, a row of
`metadata.jsonl`. Other rows, columns and files stay as they are.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from broker import errors
from pricing.datasets.csv_file import BrokenRow, CsvFile, write_csv
from pricing.datasets.picture_listing import (
    CAPTION_KEYS,
    FILE_KEYS,
    ListedPicture,
    is_metadata_name,
    list_named_pictures,
)
from pricing.datasets.text_decoding import decode_text
from pricing.datasets.text_rows import iter_lines, load_record

Read = Callable[[str], bytes]
ROWS = "metadata.jsonl"


def list_pictures(names: Sequence[str], read: Read) -> list[ListedPicture]:
    """List the pictures among files with their captions, in the order in which they are trained; `read` a text."""
    return list_named_pictures(names, read).pictures


def write_captions(names: Sequence[str], read: Read, captions: Mapping[str, str]) -> dict[str, bytes]:
    """Write captions by their pictures' names; returns the files that are new or other than before.

    Raises: InvalidRequest, for a picture that is not there, and where a file of rows cannot be read whole.
    """
    listed = {each.name: each for each in list_pictures(names, read)}
    for place, name in enumerate(captions):
        if name not in listed:
            raise errors.invalid_field(f"captions.{place}", f"{name} is no picture of this data set")
    return _Rewriting(names, read, listed).write(captions)


class _Rewriting:
    """The files of one data set, and what becomes of those that captions are written into."""

    def __init__(self, names: Sequence[str], read: Read, listed: Mapping[str, ListedPicture]) -> None:
        self.names, self.read, self.listed = frozenset(names), read, listed
        self.readers = Counter(each.caption_file for each in listed.values() if each.caption_file)
        self.stems = Counter(_name_sidecar(each) for each in listed)

    def write(self, captions: Mapping[str, str]) -> dict[str, bytes]:
        rows: dict[str, dict[int, str]] = {}
        added: dict[str, str] = {}
        changed: dict[str, bytes] = {}
        for name, caption in captions.items():
            picture = self.listed[name]
            if picture.caption == caption:
                continue
            if is_metadata_name(picture.caption_file):
                rows.setdefault(picture.caption_file, {})[picture.caption_line or 0] = caption
            elif self._has_own_file(picture):
                changed[picture.caption_file or _name_sidecar(name)] = f"{caption}\n".encode()
            else:
                added[name] = caption
        for file, captions_by_line in rows.items():
            changed[file] = self._write_rows(file, captions_by_line)
        if added:
            changed[ROWS] = self._add_rows(changed.get(ROWS), added)
        return changed

    def _has_own_file(self, picture: ListedPicture) -> bool:
        """Tell whether the text file beside a picture, there or to come, is read for that picture alone."""
        if picture.caption_file:
            return self.readers[picture.caption_file] == 1
        sidecar = _name_sidecar(picture.name)
        return self.stems[sidecar] == 1 and sidecar not in self.names

    def _write_rows(self, file: str, captions: Mapping[int, str]) -> bytes:
        text = decode_text(self.read(file)).text
        if PurePosixPath(file).suffix.lower() == ".jsonl":
            return "".join(_write_lines(text, captions)).encode()
        return _write_table(file, text, captions).encode()

    def _add_rows(self, written: bytes | None, captions: Mapping[str, str]) -> bytes:
        before = b""
        if written is not None:
            before = written
        elif ROWS in self.names:
            before = decode_text(self.read(ROWS)).text.encode()
        lines = [_write_row({FILE_KEYS[0]: name, CAPTION_KEYS[0]: caption}) for name, caption in captions.items()]
        return b"".join([before, b"\n" * (bool(before) and not before.endswith(b"\n")), *map(str.encode, lines)])


def _name_sidecar(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(".txt"))


def _write_row(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _write_lines(text: str, captions: Mapping[int, str]) -> Iterator[str]:
    for number, line in iter_lines(text):
        if number not in captions:
            yield f"{line}\n"
            continue
        record = dict(load_record(line))
        key = next((key for key in CAPTION_KEYS if record.get(key)), CAPTION_KEYS[0])
        yield _write_row(record | {key: captions[number]})


def _write_table(file: str, text: str, captions: Mapping[int, str]) -> str:
    table = CsvFile(text, usual="\t" if file.lower().endswith(".tsv") else ",")
    rows: list[list[str]] = []
    for row in table:
        if isinstance(row, BrokenRow):
            raise errors.invalid_field("captions", f"{file} line {row.line} {row.message}; send the data set anew")
        rows.append(list(row.fields))
        if row.line in captions:
            keys = {name.strip().lower(): place for place, name in enumerate(table.heading)}
            places = [keys[key] for key in CAPTION_KEYS if key in keys]
            filled = [place for place in places if rows[-1][place]]
            rows[-1][(filled or places)[0]] = captions[row.line]
    return write_csv(table.heading, rows)
