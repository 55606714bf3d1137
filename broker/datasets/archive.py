"""Unpacking uploads and packing them again as one plain tar. Works on bytes in memory, touches no file system."""

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from broker.datasets.archive_members import UploadedFile, iter_members, iter_packed
from broker.datasets.archive_names import ArchiveRefused, find_case_collisions
from broker.datasets.findings import DatasetFinding

__all__ = ["ArchiveRefused", "UploadedFile", "pack_files", "read_packed", "unpack_uploads"]

MAX_FILES = 20_000

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,  # a compression that we do not know
    RuntimeError,  # an encrypted zip
    ValueError,
    OverflowError,
)


def unpack_uploads(
    uploads: list[UploadedFile], *, max_bytes: int, notes: list[DatasetFinding] | None = None
) -> list[UploadedFile]:
    """Unpack uploads: plain files as they are, zip and tar archives as their members; at most `max_bytes` unpacked.

    What is left out, and what names were read as, is added to `notes`. Raises: ArchiveRefused.
    """
    said = [] if notes is None else notes
    unpacked: dict[str, UploadedFile] = {}
    size = 0
    for member in (member for upload in uploads for member in _members(upload, max_bytes)):
        if isinstance(member, DatasetFinding):
            said.append(member)
            continue
        size += len(member.content)
        if size > max_bytes or len(unpacked) >= MAX_FILES:
            raise ArchiveRefused(f"more than {max_bytes} bytes or {MAX_FILES} files unpacked; send a smaller data set")
        if member.name in unpacked:
            raise ArchiveRefused(f"{member.name} comes twice; give each file its own name")
        unpacked[member.name] = member
    _check_folders(unpacked)
    said.extend(find_case_collisions(unpacked))
    return [unpacked[name] for name in sorted(unpacked)]


def _check_folders(unpacked: Collection[str]) -> None:
    """Refuse a name that is a file and a folder: it could not be written to a disk. Raises: ArchiveRefused."""
    for name in unpacked:
        for folder in PurePosixPath(name).parents:
            if str(folder) in unpacked:
                raise ArchiveRefused(f"{folder} is a file and a folder; rename one of them")


def _members(upload: UploadedFile, max_bytes: int) -> Iterator[UploadedFile | DatasetFinding]:
    try:
        yield from iter_members(upload, max_bytes)
    except ArchiveRefused:
        raise
    except BROKEN as error:
        raise ArchiveRefused(f"{upload.name} cannot be unpacked: {error}; pack it again") from error


def pack_files(files: list[UploadedFile]) -> bytes:
    """Pack files into one tar, with the same bytes for the same files whenever and wherever it is made."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            info = tarfile.TarInfo(file.name)
            info.size, info.mode = len(file.content), 0o644
            archive.addfile(info, io.BytesIO(file.content))
    return buffer.getvalue()


def read_packed(content: bytes) -> list[tuple[str, bytes]]:
    """Read the files of a tar that `pack_files` made: names and contents."""
    return [(file.name, file.content) for file in iter_packed(content)]
