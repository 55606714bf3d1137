"""Parts of open files as files of their own."""

import errno
import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO, cast


class Joined(io.RawIOBase):
    """Parts of open files, one behind the other, as a file with a place of its own; it may be read in any thread.

    Each part is a file, where in it the part begins, and how many bytes it has.
    """

    def __init__(self, parts: Sequence[tuple[BinaryIO, int, int]]) -> None:
        self._parts = [part for part in parts if part[2]]
        self._ends = list(accumulate(size_bytes for _file, _start, size_bytes in self._parts))
        self._size, self._place = sum(size_bytes for _file, _start, size_bytes in self._parts), 0

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
        number = bisect_right(self._ends, self._place)
        if number == len(self._parts):
            return 0
        file, start, size_bytes = self._parts[number]
        left = self._ends[number] - self._place
        content = os.pread(file.fileno(), min(len(view), left), start + size_bytes - left)
        view[: len(content)] = content
        self._place += len(content)
        return len(content)


class _OwnJoined(Joined):
    """Parts of files that are closed with it."""

    def close(self) -> None:
        for file in {id(file): file for file, _start, _size in self._parts}.values():
            file.close()
        super().close()


def open_piece(file: BinaryIO, start: int, size_bytes: int) -> BinaryIO:
    """Open a part of an open file for reading; the file stays open when it is closed."""
    return cast("BinaryIO", io.BufferedReader(Joined([(file, start, size_bytes)])))


def open_joined(parts: Sequence[tuple[BinaryIO, int, int]]) -> BinaryIO:
    """Open parts of open files as one; the files are closed with it."""
    return cast("BinaryIO", io.BufferedReader(_OwnJoined(parts)))
