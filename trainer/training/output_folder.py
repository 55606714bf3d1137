"""The folder a run writes into: tried before anything is loaded, and held by one run at a time."""

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trainer.atomic_files import finish_interrupted_writes, try_writing
from trainer.errors import BadInput
from trainer.formats.adapter_pair import finish_interrupted_pair
from trainer.log import write_line

LOCK = ".running"
WITHOUT_LOCKS = {errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}
SUBFOLDERS = ("checkpoints", "samples", "logs")
BYTES_PER_MIB = 2**20


@contextmanager
def holding_output_folder(folder: Path) -> Iterator[None]:
    """Hold the folder for this run alone, and tidy up what a killed run left half-written in it.

    The lock goes with the process, however it ends. Raises: CannotWrite; BadInput, where another run has the folder.
    """
    try_writing(folder)
    with _locked(folder / LOCK, folder):
        for place in (folder / name for name in SUBFOLDERS if (folder / name).exists()):
            try_writing(place)  # it may be of another owner
        finish_interrupted_pair(folder)
        for place in (folder, folder / "checkpoints"):
            finish_interrupted_writes(place)
        yield


def refuse_without_room(folder: Path, needed_bytes: int) -> None:
    """Refuse a disk that has not the room for the finished adapter. Raises: BadInput."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise BadInput(
            "output_dir",
            f"{folder} has {free / BYTES_PER_MIB:.1f} MiB free, and the adapter alone takes "
            f"{needed_bytes / BYTES_PER_MIB:.1f} MiB; free some space there, or name a folder on another disk",
        )


@contextmanager
def _locked(file: Path, folder: Path) -> Iterator[None]:
    with _lock(file, folder) as held:
        held.truncate(0)
        held.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        held.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)  # while it is held, so that nobody takes another's away


def _lock(file: Path, folder: Path) -> IO[str]:
    """Open and lock the file. One that its holder took away before it was locked locks nobody out: it is made anew."""
    while True:
        opened = file.open("a+", encoding="utf-8")
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with opened:
                raise _refuse(folder, opened) from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            write_line(f"{folder} is on a file system without locks: see to it that no second run writes there")
            return opened
        if _is_there(opened, file):
            return opened
        opened.close()


def _is_there(opened: IO[str], file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _refuse(folder: Path, opened: IO[str]) -> BadInput:
    opened.seek(0)
    try:
        told = json.loads(opened.read())
        who = f"process {told['pid']} on {told['host']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return BadInput(
        "output_dir", f"{folder} is being written by {who}; wait for its end, or name another output_dir for this run"
    )
