"""Files of uploads and data sets: a name, a size, and how to read them. Nothing here is held open or in memory."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from broker.datasets.archive_format import HEAD_BYTES


class DataFile(Protocol):
    """A file under the name that it has in its data set, and how to read it: each `open` begins anew."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    def open(self) -> BinaryIO: ...


@dataclass(frozen=True)
class UploadedFile:
    """A small file, in memory."""

    name: str
    content: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)


@dataclass(frozen=True)
class StoredFile:
    """A file that lies somewhere, whole or within another."""

    name: str
    size_bytes: int
    opener: Callable[[], BinaryIO]

    def open(self) -> BinaryIO:
        return self.opener()


def read_file(file: DataFile) -> bytes:
    """Read a file whole."""
    with file.open() as opened:
        return opened.read()


def read_head(file: DataFile) -> bytes:
    """Read the first bytes of a file, by which its format is known."""
    with file.open() as opened:
        return opened.read(HEAD_BYTES)
