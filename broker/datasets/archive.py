"""Unpacking uploads and packing them again as one plain tar, piece by piece: no file is held in memory."""

import hashlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import zstandard

from broker.datasets.archive_members import PIECE_BYTES, Unpacking, iter_members, open_member
from broker.datasets.archive_names import ArchiveRefused, find_case_collisions
from broker.datasets.data_files import DataFile, StoredFile, UploadedFile, read_file
from broker.datasets.findings import DatasetFinding
from broker.datasets.stored_tar import Opener
from broker.errors import FULL_ERRNOS

__all__ = [
    "ArchiveRefused",
    "DataFile",
    "PackedTar",
    "UploadedFile",
    "open_packed",
    "pack_files",
    "pack_member",
    "read_file",
    "unpack_uploads",
]

MAX_FILES = 20_000

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    EOFError,
    OSError,
    NotImplementedError,  # a compression that we do not know
    RuntimeError,  # an encrypted zip
    ValueError,
    OverflowError,
)


@contextmanager
def unpack_uploads(
    uploads: Sequence[DataFile],
    *,
    max_bytes: int,
    notes: list[DatasetFinding] | None = None,
    scratch: Path | None = None,
) -> Iterator[list[DataFile]]:
    """Unpack uploads: plain files as they are, zip and tar archives as their members; at most `max_bytes` unpacked.

    The files can be read as long as the block lasts. What is left out, and what names were read as, is added to
    `notes`; what must be unzipped first lies in `scratch` meanwhile. Raises: ArchiveRefused.
    """
    said = [] if notes is None else notes
    with ExitStack() as opened:
        unpacking = Unpacking(opened, scratch, max_bytes)
        yield _unpack(uploads, unpacking, said)


def _unpack(uploads: Sequence[DataFile], unpacking: Unpacking, said: list[DatasetFinding]) -> list[DataFile]:
    unpacked: dict[str, DataFile] = {}
    size, max_bytes = 0, unpacking.max_bytes
    for member in (member for upload in uploads for member in _members(upload, unpacking)):
        if isinstance(member, DatasetFinding):
            said.append(member)
            continue
        size += member.size_bytes
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


def _members(upload: DataFile, unpacking: Unpacking) -> Iterator[DataFile | DatasetFinding]:
    try:
        yield from iter_members(upload, unpacking)
    except ArchiveRefused:
        raise
    except BROKEN as error:
        raise _refuse_broken(upload.name, error) from error


def _refuse_broken(name: str, error: Exception) -> Exception:
    """Make the refusal of what cannot be unpacked; a full disk is nobody's archive."""
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        return error
    return ArchiveRefused(f"{name} cannot be unpacked: {error}; pack it again")


class PackedTar:
    """A file that is written, with the SHA-256 and the size in bytes of what was."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest, self.size_bytes = file, hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        self.size_bytes += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self.size_bytes


def pack_files(files: Sequence[DataFile], target: BinaryIO) -> PackedTar:
    """Pack files into one tar, with the same bytes for the same files whenever and wherever it is made.

    Raises: ArchiveRefused, where a member is damaged; OSError, where the disk is full.
    """
    packed = PackedTar(target)
    written = cast("BinaryIO", packed)
    with tarfile.TarFile(fileobj=written, mode="w", format=tarfile.PAX_FORMAT, copybufsize=PIECE_BYTES) as archive:
        for file in files:
            _add_file(archive, file)
    return packed


def _add_file(archive: tarfile.TarFile, file: DataFile) -> None:
    info = tarfile.TarInfo(file.name)
    info.size, info.mode = file.size_bytes, 0o644
    try:
        with file.open() as content:
            archive.addfile(info, content)
    except BROKEN as error:
        raise _refuse_broken(file.name, error) from error


def pack_member(file: DataFile) -> bytes:
    """Pack a small file as it stands within a tar of `pack_files`: its headers, its bytes, and their padding."""
    spool = io.BytesIO()
    with tarfile.TarFile(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add_file(archive, file)
        end = archive.offset
    return spool.getvalue()[:end]


@contextmanager
def open_packed(packed: Opener) -> Iterator[list[DataFile]]:
    """Open a tar of our own: its files can be read as long as the block lasts, in one thread. Raises: OSError."""
    with packed() as file, tarfile.open(fileobj=file, mode="r:") as archive:
        yield [StoredFile(member.name, member.size, partial(open_member, archive, member)) for member in archive]
