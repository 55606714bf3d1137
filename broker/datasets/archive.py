"""Unpacking uploads and packing them again as one plain tar. Works on bytes in memory, touches no file system."""

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_FILES = 20_000
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024
TAR_OVERHEAD_BYTES = 64 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"

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


class ArchiveRefused(ValueError):
    """The upload cannot be unpacked safely; the message names the member and the cure."""


@dataclass(frozen=True)
class UploadedFile:
    name: str
    content: bytes


def unpack_uploads(uploads: list[UploadedFile], *, max_bytes: int) -> list[UploadedFile]:
    """Unpack uploads: plain files as they are, zip and tar archives as their members; at most `max_bytes` unpacked.

    Raises: ArchiveRefused.
    """
    unpacked: dict[str, UploadedFile] = {}
    size = 0
    for member in (member for upload in uploads for member in _members(upload, max_bytes)):
        size += len(member.content)
        if size > max_bytes or len(unpacked) >= MAX_FILES:
            raise ArchiveRefused(f"more than {max_bytes} bytes or {MAX_FILES} files unpacked; send a smaller data set")
        if member.name in unpacked:
            raise ArchiveRefused(f"{member.name} comes twice; give each file its own name")
        unpacked[member.name] = member
    _check_folders(unpacked)
    return [unpacked[name] for name in sorted(unpacked)]


def _check_folders(unpacked: Collection[str]) -> None:
    """Refuse a name that is a file and a folder: it could not be written to a disk. Raises: ArchiveRefused."""
    for name in unpacked:
        for folder in PurePosixPath(name).parents:
            if str(folder) in unpacked:
                raise ArchiveRefused(f"{folder} is a file and a folder; rename one of them")


def _members(upload: UploadedFile, max_bytes: int) -> Iterator[UploadedFile]:
    name = upload.name.lower()
    try:
        if name.endswith(".zip"):
            yield from _zip_members(upload.content, max_bytes)
        elif name.endswith((".tar", ".tar.gz", ".tgz")):
            yield from _tar_members(_gunzip(upload.content, max_bytes + TAR_OVERHEAD_BYTES), max_bytes)
        elif not _is_clutter(upload.name):
            yield UploadedFile(_safe_name(upload.name), upload.content)
    except ArchiveRefused:
        raise
    except BROKEN as error:
        raise ArchiveRefused(f"{upload.name} cannot be unpacked: {error}; pack it again") from error


def _zip_members(content: bytes, max_bytes: int) -> Iterator[UploadedFile]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            if info.is_dir() or _is_clutter(info.filename):
                continue
            with archive.open(info) as file:
                yield UploadedFile(_safe_name(info.filename), file.read(max_bytes + 1))


def _gunzip(content: bytes, max_bytes: int) -> bytes:
    """Unzip a gzipped tar, within a limit and before tarfile sees it, which would read headers of any size.

    A tar that is not gzipped stays as it is. Raises: ArchiveRefused.
    """
    if not content.startswith(GZIP_MAGIC):
        return content
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        plain = file.read(max_bytes + 1)
    if len(plain) > max_bytes:
        raise ArchiveRefused(f"more than {max_bytes} bytes unpacked; send a smaller data set")
    return plain


def _tar_members(content: bytes, max_bytes: int) -> Iterator[UploadedFile]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            if not member.isfile() or _is_clutter(member.name):
                continue
            file = archive.extractfile(member)
            assert file is not None, "a plain file of a tar can be read"
            yield UploadedFile(_safe_name(member.name), file.read(max_bytes + 1))


def _is_clutter(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name in {".DS_Store", "Thumbs.db"}


def _safe_name(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ArchiveRefused(f"{name!r} leaves the data set's folder; use plain relative names")
    try:
        sizes = [len(part.encode()) for part in path.parts]
    except UnicodeEncodeError as error:
        raise ArchiveRefused(f"{name!r} is not UTF-8; rename it") from error
    if max(sizes) > MAX_NAME_BYTES or sum(sizes) + len(sizes) > MAX_PATH_BYTES:
        raise ArchiveRefused(f"{name[:80]!r}… is too long a name; use at most {MAX_NAME_BYTES} bytes")
    return str(path)


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
    return [(file.name, file.content) for file in _tar_members(content, len(content))]
