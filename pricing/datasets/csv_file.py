"""The one reader of CSV: strict, and a row that is broken costs itself alone.

Commas, Excel's semicolons and tabs part fields; quotes are those of RFC 4180. Pure.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

# A field may be as long as a row of any other form; Python's own limit of 131,072 characters lost whole files.
LONGEST_FIELD = 1 << 24
csv.field_size_limit(LONGEST_FIELD)

DELIMITERS = (",", ";", "\t", "|")
SEPARATOR_LINE = re.compile(r"sep=(.)\s*")  # Excel writes it first, to tell itself what parts the fields
QUOTES = "close each quote, and write a quote inside of quotes twice"
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class CsvRow:
    """A row in its first line (from 1): one field for each name of the heading."""

    line: int
    fields: list[str]


@dataclass(frozen=True)
class BrokenRow:
    """A row that is none, and why; `rows` is how many rows are lost by it, and `text` is what stands in them.

    `reason` is the message without figures.
    """

    line: int
    message: str
    reason: str = ""
    rows: int = 1
    text: str = ""


class CsvFile:
    """A file whose first line is its heading; `heading` holds the names as they are written, without blanks around."""

    def __init__(self, text: str, *, usual: str = ",") -> None:
        """Begin to read; `usual` is what parts the fields where the heading does not tell."""
        self._lines = _Lines(text)
        self._delimiter = usual
        self.heading: list[str] = []
        self._broken_heading = self._read_heading(sorted(DELIMITERS, key=lambda each: each != usual))

    def __iter__(self) -> Iterator[CsvRow | BrokenRow]:
        """Read row by row; blank rows at the end, as spreadsheets leave them, are none."""
        if self._broken_heading is not None:
            yield self._broken_heading
            return
        blank = list[CsvRow]()
        while (start := self._lines.skip_blank()) is not None:
            row = self._read_row(start)
            if isinstance(row, CsvRow) and not any(row.fields):
                blank.append(row)
                continue
            yield from blank
            blank.clear()
            yield row

    def _read_row(self, start: "_Place") -> CsvRow | BrokenRow:
        try:
            fields = self._read_record()
        except csv.Error as error:
            return self._skip_broken(start, str(error))
        if any(value.strip() for value in fields):
            row = self._judge(start.number + 1, fields)
            return replace(row, text=self._lines.text_since(start)) if isinstance(row, BrokenRow) else row
        return CsvRow(start.number + 1, [""] * len(self.heading))

    def _read_heading(self, delimiters: list[str]) -> BrokenRow | None:
        start = self._lines.skip_blank()
        told = SEPARATOR_LINE.fullmatch(next(self._lines)) if start is not None else None
        if told is not None:
            start, delimiters = self._lines.skip_blank(), [told[1]]
        if start is None:
            return None
        headings = {each: self._try_heading(start, each) for each in delimiters}
        parted = [each for each, names in headings.items() if names is not None and len(names) > 1]
        self._delimiter = next(iter([*parted, *headings]))
        names = self._try_heading(start, self._delimiter)
        if names is None:
            self._lines.go_back(start)
            next(self._lines)
            return self._lose_all(start, f"the heading is not CSV; {QUOTES}")
        self.heading = [name.strip() for name in names]
        counts = Counter(name.casefold() for name in self.heading if name)
        twice = next((name for name in self.heading if counts[name.casefold()] > 1), None)
        return self._lose_all(start, f"the heading has {twice} more than once; keep one") if twice else None

    def _try_heading(self, start: "_Place", delimiter: str) -> list[str] | None:
        self._lines.go_back(start)
        try:
            return next(csv.reader(self._lines, delimiter=delimiter, strict=True), [])
        except csv.Error:
            return None

    def _lose_all(self, start: "_Place", message: str) -> BrokenRow:
        told, rows = f"{message}; the rows after it are not read", self._lines.count_left()
        return BrokenRow(start.number + 1, told, rows=rows, text=self._lines.text_since(start))

    def _read_record(self) -> list[str]:
        """Read the record that begins here. Raises: csv.Error, also for a quote that is never closed."""
        return next(csv.reader(self._lines, delimiter=self._delimiter, strict=True), [])

    def _judge(self, line: int, fields: list[str]) -> CsvRow | BrokenRow:
        width = len(self.heading)
        if any(value.strip() for value in fields[width:]):
            what = NAMES.get(self._delimiter, self._delimiter)
            return BrokenRow(line, f"has more fields than the heading; put texts with {what} in quotes")
        if len(fields) < width:
            told = f"has fewer fields than the heading ({len(fields)} of {width}); write an empty one, too"
            return BrokenRow(line, told, "has fewer fields than the heading")
        if any("\0" in value for value in fields):
            return BrokenRow(line, "has NUL characters; save the file as UTF-8")
        if [value.strip() for value in fields[:width]] == self.heading:
            return BrokenRow(line, "is the heading once more; delete it")
        return CsvRow(line, fields[:width])

    def _skip_broken(self, start: "_Place", error: str) -> BrokenRow:
        """Go on at the first line after a broken row that is a row by itself: those before may be the rest of it."""
        skipped = quoted = self._count_quoted(start)
        self._lines.go_back(start)
        for _ in range(skipped):
            next(self._lines)
        while (place := self._lines.skip_blank()) is not None:
            if self._is_row_here(place):
                break
            self._lines.go_back(place)
            next(self._lines)
            skipped += 1
        line = start.number + 1
        lost = "" if skipped == 1 else f"; {skipped} lines from here on are not read"
        message, rows, text = f"not CSV: {error}; {QUOTES}{lost}", skipped - quoted + 1, self._lines.text_since(start)
        return BrokenRow(line, message, f"not CSV: {error}", rows, text)

    def _count_quoted(self, start: "_Place") -> int:
        """Count the lines of a broken row that stand in its quotes for certain, the first among them.

        Where text follows a quote that closes the field (`… end" x,b`), all lines before it are of the field. A quote
        behind a delimiter opens a field: then it is the row's own quote that was never closed.
        """
        read = self._lines.number - start.number
        self._lines.go_back(start)
        lines = [next(self._lines) for _ in range(read)]
        last = lines[-1].replace('""', "")
        at = last.find('"')
        is_closing = read > 1 and at > 0 and last[at - 1] != self._delimiter
        return read if is_closing else 1

    def _is_row_here(self, place: "_Place") -> bool:
        try:
            fields = self._read_record()
        except csv.Error:
            return False
        else:
            written = self._lines.text_since(place)
            return len(fields) == len(self.heading) and written.count('"') % 2 == 0
        finally:
            self._lines.go_back(place)


@dataclass(frozen=True)
class _Place:
    """Where a line begins, and how many lines stand before it."""

    offset: int
    number: int


@dataclass
class _Lines:
    """The lines of a text one by one; any of the three line ends ends one."""

    text: str
    number: int = 0
    _buffer: io.StringIO = field(init=False)

    def __post_init__(self) -> None:
        self._buffer = io.StringIO(self.text, newline="")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._buffer.readline()
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def skip_blank(self) -> _Place | None:
        """Go to the next line that is not blank; None at the end."""
        while True:
            place = _Place(self._buffer.tell(), self.number)
            line = self._buffer.readline()
            if not line:
                return None
            if not line.isspace():
                self._buffer.seek(place.offset)
                return place
            self.number += 1

    def go_back(self, place: _Place) -> None:
        self._buffer.seek(place.offset)
        self.number = place.number

    def text_since(self, place: _Place) -> str:
        return self.text[place.offset : self._buffer.tell()]

    def count_left(self) -> int:
        return sum(not line.isspace() for line in self)


def iter_csv(text: str, *, usual: str = ",") -> Iterator[tuple[int, dict[str, str]] | BrokenRow]:
    """Iterate over the records by the names of the heading in small letters, each with the number of its first line.

    A column without a name, such as an index, is left out.
    """
    file = CsvFile(text, usual=usual)
    names = [name.casefold() for name in file.heading]
    for row in file:
        if isinstance(row, BrokenRow):
            yield row
        else:
            yield row.line, {name: value for name, value in zip(names, row.fields, strict=True) if name}


def write_csv(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table as `CsvFile` reads it."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(rows)
    return written.getvalue()
