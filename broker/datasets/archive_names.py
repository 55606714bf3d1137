"""Names of archive members: in which encoding they are, whether they are safe, and what people never meant to send."""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from broker.datasets.findings import DatasetFinding
from pricing.datasets import file_names
from pricing.datasets.finding_level import Level
from pricing.datasets.text_decoding import decode_gbk

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024
UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075
OLDEST = "cp437"


class ArchiveRefused(ValueError):
    """The upload cannot be unpacked safely; the message names the member and the cure."""


def is_clutter(name: str) -> bool:
    """Tell whether a system put the member there: it is left out, as the trainer leaves it aside."""
    return file_names.is_clutter(name.replace("\\", "/"))


def make_safe(name: str) -> str:
    """Make a name relative and plain, with `/`. Raises: ArchiveRefused."""
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


def find_case_collisions(names: Iterable[str]) -> Iterator[DatasetFinding]:
    """Find names that differ from another in case, or in how an accent is written, only."""
    first: dict[str, str] = {}
    for name in names:
        before = first.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if before != name:
            message = f"differs from {before} in upper and lower case only, which some systems take for one file"
            yield DatasetFinding(name, None, Level.WARNING, f"{message}; rename one")


def read_zip_names(archive: str, members: list[zipfile.ZipInfo]) -> tuple[list[str], list[DatasetFinding]]:
    """Read the names of a zip's members, and tell of those whose encoding nothing says.

    A name is UTF-8 where its flag, or a Unicode path beside it (Info-ZIP, 0x7075), says so. Those of one archive that
    say nothing are in one encoding: UTF-8 where all are valid, else GBK where that makes usual Chinese, else cp437.
    """
    stated = [_find_stated_name(member) for member in members]
    raw = [member.orig_filename.encode(OLDEST, "replace") for member in members]
    silent = [name for name, known in zip(raw, stated, strict=True) if known is None and not name.isascii()]
    encoding = _choose_encoding(silent)
    names = [known if known is not None else name.decode(encoding) for name, known in zip(raw, stated, strict=True)]
    return names, [_tell_encoding(archive, silent, encoding)] if silent else []


def _find_stated_name(member: zipfile.ZipInfo) -> str | None:
    if member.flag_bits & UTF8_FLAG:
        return member.orig_filename
    raw = member.orig_filename.encode(OLDEST, "replace")
    for kind, field in _iter_extra_fields(member.extra):
        if kind == UNICODE_PATH and len(field) >= 5 and field[0] == 1 and field[1:5] == _sum(raw):
            try:
                return field[5:].decode()
            except UnicodeDecodeError:
                return None
    return None


def _sum(raw: bytes) -> bytes:
    return struct.pack("<L", zlib.crc32(raw))


def _iter_extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        yield kind, extra[4 : 4 + size]
        extra = extra[4 + size :]


def _choose_encoding(names: list[bytes]) -> str:
    joined = b"\n".join(names)
    try:
        joined.decode()
    except UnicodeDecodeError:
        return "gb18030" if decode_gbk(joined) is not None else OLDEST
    return "utf-8"


def _tell_encoding(archive: str, names: list[bytes], encoding: str) -> DatasetFinding:
    shown = {"utf-8": "UTF-8", "gb18030": "GBK"}.get(encoding, encoding)
    example = names[0].decode(encoding)
    said = f"{len(names)} names say no encoding and were read as {shown}, such as {example}"
    if encoding == OLDEST:
        cure = "names in Shift-JIS, Big5 and the like come out wrong: pack the folder again with UTF-8 names"
        return DatasetFinding(archive, None, Level.WARNING, f"{said}; {cure}")
    return DatasetFinding(archive, None, Level.HINT, f"{said}; pack it with UTF-8 names where they look wrong")


def read_tar_names(archive: str, names: list[str]) -> tuple[list[str], list[DatasetFinding]]:
    """Read the names of a tar, which says no encoding: what is not UTF-8 is GBK, or stays what no one can read."""
    raw = [name.encode(errors="surrogateescape") for name in names]
    silent = [name for name, shown in zip(raw, names, strict=True) if _has_surrogate(shown)]
    if not silent or decode_gbk(b"\n".join(silent)) is None:
        return names, []
    read = [name.decode("gb18030") if _has_surrogate(shown) else shown for name, shown in zip(raw, names, strict=True)]
    return read, [_tell_encoding(archive, silent, "gb18030")]


def _has_surrogate(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in name)
