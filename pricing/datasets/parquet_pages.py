"""What the pages of a Parquet file will take in memory, by their own headers, before any of it is unpacked.

The footer of a file may say anything of its pages. What unpacks them goes by the header before each, which is small and
not packed itself: a page takes no more than that says, or is refused as damaged. So all headers are read before.
Source: parquet.thrift of apache/parquet-format, and Thrift's compact protocol.
"""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

MAGIC_BYTES = 4
MOST_FOOTER_BYTES = 16 << 20  # of which objects many times as large are made
MOST_PAGE_BYTES = 256 << 20
MOST_PAGE_VALUES = 1 << 24
MOST_PAGES = 1_000_000
# Of a header: with the least and the greatest value of a page, which may be as long as values are.
HEADER_BYTES, MOST_HEADER_BYTES = 4096, 16 << 20
DEEPEST = 16
# Kinds of values in Thrift's compact protocol.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
# Fields of a page's header: sizes, and the headers of each kind of page, whose first field counts its values.
UNPACKED, PACKED, OF_KINDS = 2, 3, (5, 7, 8)


class ParquetTooLarge(ValueError):
    """A file, a page or a row has more than is read at once."""


class ParquetDamaged(ValueError):
    """There is no page where the file says that one is."""


class Page(NamedTuple):
    """Units: bytes, unpacked; values are counted with those that are null."""

    size_bytes: int
    values: int


def check_footer(file: BinaryIO) -> None:
    """Require that what a file tells of itself can be read. Raises: ParquetTooLarge; OSError."""
    end = file.seek(0, 2)
    if end < 2 * MAGIC_BYTES + 4:
        return  # no Parquet, as who reads it will find out
    file.seek(end - MAGIC_BYTES - 4)
    (length,) = struct.unpack("<I", file.read(4))
    file.seek(0)
    if min(length, end) > MOST_FOOTER_BYTES:
        raise ParquetTooLarge(f"its footer has {length >> 20} MiB, more than {MOST_FOOTER_BYTES >> 20}")


def list_pages(file: BinaryIO, column: Any) -> Iterator[Page]:
    """List the pages of a column of a group, as pyarrow's metadata tells where they lie.

    Raises: ParquetTooLarge, for a page that is not to be unpacked; ParquetDamaged, where there is no page.
    """
    starts = [column.data_page_offset, column.dictionary_page_offset if column.has_dictionary_page else None]
    place = min(start for start in starts if start is not None)
    end = place + column.total_compressed_size
    name = column.path_in_schema
    for number in range(MOST_PAGES + 1):
        if place >= end:
            return
        if number == MOST_PAGES:
            raise ParquetTooLarge(f"{name} has more than {MOST_PAGES} pages")
        page, packed_bytes, header_bytes = _read_page(file, place)
        if page.size_bytes > MOST_PAGE_BYTES:
            mib = page.size_bytes >> 20
            raise ParquetTooLarge(f"a page of {name} unpacks to {mib} MiB, more than {MOST_PAGE_BYTES >> 20}")
        if page.values > MOST_PAGE_VALUES:
            raise ParquetTooLarge(f"a page of {name} has {page.values} values, more than {MOST_PAGE_VALUES}")
        yield page
        place += header_bytes + packed_bytes


def _read_page(file: BinaryIO, place: int) -> tuple[Page, int, int]:
    """Read the header of the page at a place: the page, its size as it is packed, and that of its header.

    Raises: ParquetDamaged, where there is none.
    """
    wanted = HEADER_BYTES
    while True:
        file.seek(place)
        content = file.read(wanted)
        reader = _CompactReader(content)
        try:
            fields = reader.read_struct()
            break
        except IndexError as error:
            if len(content) < wanted or wanted >= MOST_HEADER_BYTES:
                raise ParquetDamaged("a page has no header that can be read") from error
            wanted *= 16
    size_bytes, packed_bytes = fields.get(UNPACKED, -1), fields.get(PACKED, -1)
    values = max((inner.get(1, 0) for kind in OF_KINDS if isinstance(inner := fields.get(kind), dict)), default=0)
    if not all(isinstance(told, int) and told >= 0 for told in (size_bytes, packed_bytes, values)):
        raise ParquetDamaged("a page has a header with sizes below zero")
    return Page(size_bytes, values), packed_bytes, reader.place


class _CompactReader:
    """Reads structs of Thrift's compact protocol. Whatever ends too early raises: IndexError."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def read_struct(self, depth: int = 0) -> dict[int, Any]:
        """Read a struct: its numbers and structs by the numbers of their fields. Raises: IndexError, ParquetDamaged."""
        if depth > DEEPEST:
            raise ParquetDamaged("a page has a header that is nested too deep")
        fields, number = dict[int, Any](), 0
        while head := self._read_byte():
            number = number + (head >> 4) if head >> 4 else self._read_number()
            fields[number] = self._read_value(head & 15, depth)
        return fields

    def _read_value(self, kind: int, depth: int) -> Any:
        if kind in {TRUE, FALSE}:
            return None
        if kind in {I16, I32, I64}:
            return self._read_number()
        if kind == STRUCT:
            return self.read_struct(depth + 1)
        if kind in {BYTE, DOUBLE, BINARY}:
            self._skip({BYTE: 1, DOUBLE: 8}.get(kind) or self._read_varint())
            return None
        raise ParquetDamaged("a page has a header of another kind")  # none has lists or maps

    def _read_byte(self) -> int:
        byte = self.content[self.place]
        self.place += 1
        return byte

    def _read_varint(self) -> int:
        read = 0
        for shift in range(0, 70, 7):
            byte = self._read_byte()
            read |= (byte & 127) << shift
            if byte < 128:
                return read
        raise ParquetDamaged("a page has a header with a number that is too long")

    def _read_number(self) -> int:
        read = self._read_varint()
        return (read >> 1) ^ -(read & 1)

    def _skip(self, size_bytes: int) -> None:
        self.place += size_bytes
        if self.place > len(self.content):
            raise IndexError
