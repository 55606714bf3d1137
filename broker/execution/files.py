"""Locks of files that several processes of one machine share."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock of a file for as long as the block lasts; wait for whoever has it.

    Yields the file's descriptor: a process that inherits it holds the lock on, also when we are gone.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def try_lock(file: BinaryIO, kind: int) -> bool:
    """Take the lock of an open file; returns whether it was free."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Tell whether any process holds the lock of a file."""
    try:
        with path.open("rb") as file:
            return not try_lock(file, fcntl.LOCK_SH)  # shared, so that two who look do not see each other
    except FileNotFoundError:
        return False
