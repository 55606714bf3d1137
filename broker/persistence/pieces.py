"""A part of an open file as a file of its own."""

import errno
import io
import os
from typing import BinaryIO, cast


class Piece(io.RawIOBase):
    """A part of an open file as a file of its own, with a place of its own; it may be read in any thread."""

    def __init__(self, file: BinaryIO, start: int, size_bytes: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(errno.EINVAL, "a place before the beginning")  # as a file of its own does: zipfile tries it
        self._place = origin + offset
        return self._place

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = max(0, min(len(view), self._size - self._place))
        content = os.pread(self._file.fileno(), wanted, self._start + self._place)
        view[: len(content)] = content
        self._place += len(content)
        return len(content)


def open_piece(file: BinaryIO, start: int, size_bytes: int) -> BinaryIO:
    """Open a part of an open file for reading; the file stays open when it is closed."""
    return cast("BinaryIO", io.BufferedReader(Piece(file, start, size_bytes)))
