"""The members of one archive, one after the other: files, and a word for whatever is left out.

No member is read here but its first bytes: what it holds is read when it is packed, piece by piece.
"""

import gzip
import io
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import zstandard

from broker.datasets.archive_format import (
    CURE,
    ArchiveFormat,
    find_format,
    name_foreign_format,
    name_inner_format,
)
from broker.datasets.archive_names import ArchiveRefused, is_clutter, make_safe, read_tar_names, read_zip_names
from broker.datasets.data_files import DataFile, StoredFile, read_head
from broker.datasets.findings import DatasetFinding
from broker.datasets.parquet_pictures import holds_pictures, take_pictures
from broker.persistence.pieces import open_piece
from pricing.datasets.finding_level import Level
from pricing.datasets.picture_listing import PICTURE_SUFFIXES, SIDECAR_SUFFIXES
from pricing.datasets.text_rows import TEXT_SUFFIXES

# More members than files: folders, links and clutter are members, too.
MAX_MEMBERS = 80_000
TAR_OVERHEAD_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 1 << 20
# A header of a tar may say that its own text is of any length, and is read whole; what all of them tell is kept as long
# as the archive is open. So is the directory of a zip, whose entries have names and words of any length.
MAX_HEADER_BYTES, MAX_HEADERS_BYTES = 1 << 20, 256 << 20
MAX_DIRECTORY_BYTES = 64 << 20
MAX_WINDOW_BYTES = 1 << 27  # of Zstandard: what its own program unzips without being told to
ZIP_ENTRY_MAGIC = b"PK\x01\x02"
UNPACKED_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})
DATA_SUFFIXES = frozenset({*PICTURE_SUFFIXES, *SIDECAR_SUFFIXES, *TEXT_SUFFIXES})


@dataclass(frozen=True)
class Unpacking:
    """One upload that is unpacked: what is opened stays open as long as `opened`, and aside goes what is unzipped.

    No more than `max_bytes` are unpacked.
    """

    opened: ExitStack
    scratch: Path | None
    max_bytes: int

    def open(self, file: DataFile) -> BinaryIO:
        return self.opened.enter_context(file.open())

    def make_file(self) -> BinaryIO:
        """Make a nameless file to write and read."""
        return cast("BinaryIO", self.opened.enter_context(tempfile.TemporaryFile(dir=self.scratch)))


Members = Iterator[DataFile | DatasetFinding]


def iter_members(upload: DataFile, unpacking: Unpacking) -> Members:
    """Iterate over what an upload holds: the files of an archive, or itself.

    Raises: ArchiveRefused; whatever zipfile, tarfile, gzip and zstd raise for a damaged archive.
    """
    name, head = upload.name, read_head(upload)
    foreign = name_foreign_format(head)
    if foreign is not None:
        raise ArchiveRefused(f"{name} is a {foreign} archive, which is not unpacked here; {CURE}")
    with upload.open() as file:
        found = find_format(name, file)
    if found is None:
        yield from _take_file(upload, unpacking, is_inside=False)
    elif found is ArchiveFormat.ZIP:
        yield from _iter_zip(upload, unpacking)
    elif found is ArchiveFormat.TAR:
        yield from _iter_tar(name, unpacking.open(upload), unpacking)
    else:
        yield from _iter_unzipped(upload, found, unpacking)


def _take_file(file: DataFile, unpacking: Unpacking, *, is_inside: bool) -> Members:
    safe = make_safe(file.name)
    named = StoredFile(safe, file.size_bytes, file.open)
    inner = name_inner_format(safe, lambda: read_head(file)) if is_inside else None
    if inner is not None:
        message = f"is a {inner} archive inside an archive, which is not unpacked; unpack it, and pack its files"
        yield DatasetFinding(safe, None, Level.ERROR, message)
    elif is_clutter(safe):
        pass
    elif holds_pictures(named):
        yield from take_pictures(named, unpacking.make_file(), unpacking.max_bytes)
    else:
        yield named


def _iter_zip(upload: DataFile, unpacking: Unpacking) -> Members:
    name, file = upload.name, unpacking.open(upload)
    if _count_entries(file) > MAX_MEMBERS:
        raise _too_many(name)
    readable = _ShortReads(name, file, MAX_DIRECTORY_BYTES, MAX_HEADERS_BYTES)
    archive = unpacking.opened.enter_context(zipfile.ZipFile(cast("BinaryIO", readable)))
    readable.walks = False
    members = archive.infolist()
    names, notes = read_zip_names(name, members)
    yield from notes
    for member, shown in zip(members, names, strict=True):
        if member.is_dir() or is_clutter(shown):
            continue
        if member.flag_bits & 1:
            raise ArchiveRefused(f"{name}: {shown} is encrypted; pack it again without a password")
        if member.compress_type not in UNPACKED_METHODS:
            raise ArchiveRefused(f"{name}: {shown} is compressed in a way that is not unpacked here; {CURE}")
        if stat.S_ISLNK(member.external_attr >> 16):
            yield _leave_link(shown)
            continue
        opener = cast("Callable[[], BinaryIO]", partial(archive.open, member))
        yield from _take_file(StoredFile(shown, member.file_size, opener), unpacking, is_inside=True)
    yield from _tell_clutter(name, names)


def _count_entries(file: BinaryIO) -> int:
    """Count what may be entries of a zip's directory, before it is read into memory."""
    count, kept = 0, b""
    while piece := file.read(PIECE_BYTES):
        count += (kept + piece).count(ZIP_ENTRY_MAGIC)
        kept = piece[1 - len(ZIP_ENTRY_MAGIC) :]
    file.seek(0)
    return count


def _iter_unzipped(upload: DataFile, found: ArchiveFormat, unpacking: Unpacking) -> Members:
    """Unzip a tar, or a single file, into a file aside, within the limit, before anything reads it.

    Raises: ArchiveRefused.
    """
    name, plain, size = upload.name, unpacking.make_file(), 0
    most = unpacking.max_bytes + TAR_OVERHEAD_BYTES
    zipped = unpacking.open(upload)
    with _open_zipped(zipped, found) as reader:
        while piece := reader.read(PIECE_BYTES):
            size += len(piece)
            if size > most:
                raise ArchiveRefused(f"more than {unpacking.max_bytes} bytes unpacked; send a smaller data set")
            plain.write(piece)
    plain.flush()
    plain.seek(0)
    lower, is_tar = name.lower(), find_format("", plain) is ArchiveFormat.TAR
    plain.seek(0)
    if is_tar or lower.endswith((".tar.gz", ".tgz", ".tar.zst", ".tzst")):
        yield from _iter_tar(name, plain, unpacking)
    elif lower.endswith((".gz", ".zst")):
        inner = name.rpartition(".")[0]
        yield from _take_file(StoredFile(inner, size, partial(open_piece, plain, 0, size)), unpacking, is_inside=True)
    else:
        raise ArchiveRefused(f"{name} is zipped, and no archive; name it as its file with .gz or .zst, or {CURE}")


def _open_zipped(file: BinaryIO, found: ArchiveFormat) -> BinaryIO:
    if found is ArchiveFormat.GZIP:
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    unzip = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    return cast("BinaryIO", unzip.stream_reader(file, read_across_frames=True, closefd=False))


class _ShortReads:
    """An open archive, of which no more is read as what it tells of a member than that may be, as long as it `walks`.

    Units: bytes, of one member and of all of them.
    """

    def __init__(self, name: str, file: BinaryIO, most: int, most_in_all: int) -> None:
        self._name, self._file, self.walks = name, file, True
        self._most, self._most_in_all, self._left, self._left_in_all = most, most_in_all, most, most_in_all

    def begin_member(self) -> None:
        """Begin another member, which may tell as much as the one before."""
        self._left = self._most

    def read(self, size: int = -1) -> bytes:
        if not self.walks:
            return self._file.read(size)
        most = min(self._left, self._left_in_all)
        content = b"" if size > most else self._file.read(size if size >= 0 else most + 1)
        if max(size, len(content)) > most:
            raise ArchiveRefused(f"{self._name} has headers that are too long; pack it again with plain names")
        self._left -= len(content)
        self._left_in_all -= len(content)
        return content

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()


def _iter_tar(name: str, file: BinaryIO, unpacking: Unpacking) -> Members:
    readable = _ShortReads(name, file, MAX_HEADER_BYTES, MAX_HEADERS_BYTES)
    archive = tarfile.open(fileobj=cast("BinaryIO", readable), mode="r:")  # noqa: SIM115 (the upload's end closes it)
    unpacking.opened.enter_context(archive)
    members = list[tarfile.TarInfo]()
    for member in archive:
        if member.issparse():  # of which a list of all its holes is kept
            raise ArchiveRefused(f"{name}: {member.name} is packed with holes; pack it again without them")
        members.append(member)
        if len(members) > MAX_MEMBERS:
            raise _too_many(name)
        readable.begin_member()
    readable.walks = False
    names, notes = read_tar_names(name, [member.name for member in members])
    yield from notes
    for member, shown in zip(members, names, strict=True):
        if member.isdir() or is_clutter(shown):
            continue
        if member.issym() or member.islnk():
            yield _leave_link(shown)
        elif member.isfile():
            opener = partial(open_member, archive, member)
            yield from _take_file(StoredFile(shown, member.size, opener), unpacking, is_inside=True)
        else:
            yield DatasetFinding(shown, None, Level.HINT, "is no plain file, and left out")
    yield from _tell_clutter(name, names)


def open_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    """Open a plain file of a tar."""
    file = archive.extractfile(member)
    assert file is not None, "a plain file of a tar can be read"
    return cast("BinaryIO", file)


def _leave_link(name: str) -> DatasetFinding:
    """Tell of a link, which is never followed: an error where data is missed by it."""
    level = Level.ERROR if PurePosixPath(name.lower()).suffix in DATA_SUFFIXES else Level.HINT
    message = "is a link, which is not followed; pack the file itself (tar -h, zip without -y)"
    return DatasetFinding(name, None, level, message)


def _tell_clutter(archive: str, names: list[str]) -> Iterator[DatasetFinding]:
    clutter = [name for name in names if is_clutter(name)]
    if clutter:
        message = f"{len(clutter)} files that a system put there are left out, such as {clutter[0]}"
        yield DatasetFinding(archive, None, Level.HINT, message)


def _too_many(archive: str) -> ArchiveRefused:
    return ArchiveRefused(f"{archive} has more than {MAX_MEMBERS} members; send a smaller data set")
