"""The members of one archive, one after the other: files, and a word for whatever is left out."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from broker.datasets.archive_format import CURE, ArchiveFormat, find_format, name_foreign_format, name_inner_format
from broker.datasets.archive_names import ArchiveRefused, is_clutter, make_safe, read_tar_names, read_zip_names
from broker.datasets.findings import DatasetFinding
from pricing.datasets.finding_level import Level
from pricing.datasets.picture_listing import PICTURE_SUFFIXES, SIDECAR_SUFFIXES
from pricing.datasets.text_rows import TEXT_SUFFIXES

# More members than files: folders, links and clutter are members, too.
MAX_MEMBERS = 80_000
TAR_OVERHEAD_BYTES = 64 * 1024 * 1024
ZIP_ENTRY_MAGIC = b"PK\x01\x02"
DATA_SUFFIXES = frozenset({*PICTURE_SUFFIXES, *SIDECAR_SUFFIXES, *TEXT_SUFFIXES})


@dataclass(frozen=True)
class UploadedFile:
    name: str
    content: bytes


def iter_members(upload: UploadedFile, max_bytes: int) -> Iterator[UploadedFile | DatasetFinding]:
    """Iterate over what an upload holds: the files of an archive, or itself; each file has at most `max_bytes` + 1.

    Raises: ArchiveRefused; whatever zipfile, tarfile and gzip raise for a damaged archive.
    """
    name, content = upload.name, upload.content
    foreign = name_foreign_format(content)
    if foreign is not None:
        raise ArchiveRefused(f"{name} is a {foreign} archive, which is not unpacked here; {CURE}")
    found = find_format(name, content)
    if found is None:
        yield from _take_file(name, content, is_inside=False)
    elif found is ArchiveFormat.ZIP:
        yield from _iter_zip(name, content, max_bytes)
    else:
        plain = _gunzip(name, content, max_bytes + TAR_OVERHEAD_BYTES) if found is ArchiveFormat.GZIP else content
        yield from _iter_tar(name, plain, max_bytes)


def _take_file(name: str, content: bytes, *, is_inside: bool) -> Iterator[UploadedFile | DatasetFinding]:
    safe = make_safe(name)
    inner = name_inner_format(safe, content) if is_inside else None
    if inner is not None:
        message = f"is a {inner} archive inside an archive, which is not unpacked; unpack it, and pack its files"
        yield DatasetFinding(safe, None, Level.ERROR, message)
    elif not is_clutter(safe):
        yield UploadedFile(safe, content)


def _iter_zip(name: str, content: bytes, max_bytes: int) -> Iterator[UploadedFile | DatasetFinding]:
    if content.count(ZIP_ENTRY_MAGIC) > MAX_MEMBERS:
        raise _too_many(name)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names, notes = read_zip_names(name, members)
        yield from notes
        for member, shown in zip(members, names, strict=True):
            if member.is_dir() or is_clutter(shown):
                continue
            if member.flag_bits & 1:
                raise ArchiveRefused(f"{name}: {shown} is encrypted; pack it again without a password")
            if stat.S_ISLNK(member.external_attr >> 16):
                yield _leave_link(shown)
                continue
            with archive.open(member) as file:
                yield from _take_file(shown, file.read(max_bytes + 1), is_inside=True)
    yield from _tell_clutter(name, names)


def _gunzip(name: str, content: bytes, max_bytes: int) -> bytes:
    """Unzip a gzipped tar, within a limit and before tarfile sees it, which would read headers of any size.

    Raises: ArchiveRefused.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        plain = file.read(max_bytes + 1)
    if len(plain) > max_bytes:
        raise ArchiveRefused(f"more than {max_bytes} bytes unpacked; send a smaller data set")
    is_tar = find_format(name, plain) is ArchiveFormat.TAR or name.lower().endswith((".tar.gz", ".tgz"))
    if not is_tar:
        raise ArchiveRefused(f"{name} is a single file in gzip, and no archive; send the file itself, or {CURE}")
    return plain


def _iter_tar(name: str, content: bytes, max_bytes: int) -> Iterator[UploadedFile | DatasetFinding]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        members = list[tarfile.TarInfo]()
        for member in archive:
            members.append(member)
            if len(members) > MAX_MEMBERS:
                raise _too_many(name)
        names, notes = read_tar_names(name, [member.name for member in members])
        yield from notes
        for member, shown in zip(members, names, strict=True):
            if member.isdir() or is_clutter(shown):
                continue
            if member.issym() or member.islnk():
                yield _leave_link(shown)
            elif member.isfile():
                file = archive.extractfile(member)
                assert file is not None, "a plain file of a tar can be read"
                yield from _take_file(shown, file.read(max_bytes + 1), is_inside=True)
            else:
                yield DatasetFinding(shown, None, Level.HINT, "is no plain file, and left out")
    yield from _tell_clutter(name, names)


def _leave_link(name: str) -> DatasetFinding:
    """Tell of a link, which is never followed: an error where data is missed by it."""
    level = Level.ERROR if PurePosixPath(name.lower()).suffix in DATA_SUFFIXES else Level.HINT
    message = "is a link, which is not followed; pack the file itself (tar -h, zip without -y)"
    return DatasetFinding(name, None, level, message)


def _tell_clutter(archive: str, names: list[str]) -> Iterator[DatasetFinding]:
    clutter = [name for name in names if is_clutter(name)]
    if clutter:
        message = f"{len(clutter)} files that macOS or Windows put there are left out, such as {clutter[0]}"
        yield DatasetFinding(archive, None, Level.HINT, message)


def _too_many(archive: str) -> ArchiveRefused:
    return ArchiveRefused(f"{archive} has more than {MAX_MEMBERS} members; send a smaller data set")


def iter_packed(content: bytes) -> Iterator[UploadedFile]:
    """Iterate over the files of a tar of our own."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None, "our own tar holds plain files"
            yield UploadedFile(member.name, file.read())
