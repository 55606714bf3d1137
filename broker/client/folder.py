"""A folder of training data, packed for an upload: one tar, the same bytes for the same files, whoever packs them.

Only what training reads goes in; what is left out is listed, so that a caller can say so.
"""

import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pricing.datasets.file_names import is_left_aside
from pricing.datasets.picture_listing import PICTURE_SUFFIXES, SIDECAR_SUFFIXES
from pricing.datasets.text_rows import TEXT_SUFFIXES

READ_SUFFIXES = frozenset({*PICTURE_SUFFIXES, *SIDECAR_SUFFIXES, *TEXT_SUFFIXES})
Progress = Callable[[int, int], None]


class FolderUnusable(ValueError):
    """The folder cannot be packed; the message names the file and the cure."""


@dataclass(frozen=True)
class FolderFile:
    """A file on disk under the name that it gets in the data set: relative, with `/`."""

    path: Path
    name: str
    size_bytes: int


@dataclass(frozen=True)
class FolderListing:
    """What of a folder is sent, by name in the order of the tar, and the names of what training has no use for."""

    files: list[FolderFile]
    left_out: list[str]

    @property
    def size_bytes(self) -> int:
        """Add up the sizes of the files that are sent, in bytes."""
        return sum(file.size_bytes for file in self.files)


def list_folder(folder: Path) -> FolderListing:
    """List the files under a folder: data to send, and the rest. Linked files are read, linked folders are not walked.

    Raises: FolderUnusable, where there is nothing to send or a name is no text; OSError.
    """
    if not folder.is_dir():
        raise FolderUnusable(f"{folder} is not a folder; give the folder with your data")
    files, left_out = list[FolderFile](), list[str]()
    for path in _walk(folder):
        name = _name_file(folder, path)
        if _is_data(name):
            files.append(FolderFile(path, name, path.stat().st_size))
        else:
            left_out.append(name)
    if not files:
        raise FolderUnusable(f"{folder} has no file that training reads ({', '.join(sorted(READ_SUFFIXES))})")
    return FolderListing(files, left_out)


def pack_folder(listing: FolderListing, target: BinaryIO, progress: Progress | None = None) -> None:
    """Write the listed files as one tar, piece by piece; `progress` is told (bytes packed, bytes in all) file by file.

    Raises: FolderUnusable, where a file has changed since it was listed; OSError.
    """
    packed, total = 0, listing.size_bytes
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in listing.files:
            info = tarfile.TarInfo(file.name)
            info.size, info.mode = file.size_bytes, 0o644
            with file.path.open("rb") as content:
                if os.fstat(content.fileno()).st_size != file.size_bytes:
                    raise FolderUnusable(f"{file.name} has changed while it was packed; try again when it is at rest")
                archive.addfile(info, content)
            packed += file.size_bytes
            if progress is not None:
                progress(packed, total)


def _walk(folder: Path) -> Iterator[Path]:
    """Walk all files, in the order of their names at each level."""
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry


def _name_file(folder: Path, path: Path) -> str:
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise FolderUnusable(f"{name!r} is not UTF-8; rename it") from error
    return name


def _is_data(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in READ_SUFFIXES and not is_left_aside(name)
