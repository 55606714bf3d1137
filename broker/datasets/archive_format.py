"""What kind of archive an upload is, by its first bytes: a name may say anything. Pure."""

import zipfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO

ZIP_MAGIC = (bytes.fromhex("504b0304"), bytes.fromhex("504b0506"))
GZIP_MAGIC = bytes.fromhex("1f8b08")
ZSTD_MAGIC = bytes.fromhex("28b52ffd")
HEAD_BYTES = 512
TAR_MAGIC, TAR_MAGIC_PLACE = b"ustar", 257
# Source: the formats' own specifications. None of them is unpacked here.
FOREIGN = {
    "7z": bytes.fromhex("377abcaf271c"),
    "RAR": bytes.fromhex("526172211a07"),
    "xz": bytes.fromhex("fd377a585a00"),
    "LZ4": bytes.fromhex("04224d18"),
    "lzip": bytes.fromhex("4c5a495001"),
    "CAB": bytes.fromhex("4d53434600000000"),
    "compress (.Z)": bytes.fromhex("1f9d90"),
    "multi-part zip": bytes.fromhex("504b0708"),
}
BZIP2_MAGIC = b"BZh"
BZIP2_BLOCKS = (bytes.fromhex("314159265359"), bytes.fromhex("177245385090"))
ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".lz4", ".lz", ".z", ".cab"}
)
# Documents that are zips by construction: they hold no files of a data set.
DOCUMENTS = frozenset({".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".jar", ".npz", ".pt", ".pth"})
CURE = "pack the folder as .zip or .tar.gz"


class ArchiveFormat(StrEnum):
    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    ZSTD = "Zstandard"


def find_format(name: str, file: BinaryIO) -> ArchiveFormat | None:
    """Find the format of an upload that is unpacked; None for a plain file, or a format that is not."""
    lower, head = name.lower(), file.read(HEAD_BYTES)
    if head.startswith(ZIP_MAGIC) and PurePosixPath(lower).suffix not in DOCUMENTS and zipfile.is_zipfile(file):
        return ArchiveFormat.ZIP
    found = _find_by_head(head)
    if found is not None or name_foreign_format(head) is not None:
        return found
    if lower.endswith(".zip"):
        return ArchiveFormat.ZIP
    return ArchiveFormat.TAR if lower.endswith((".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")) else None


def _find_by_head(head: bytes) -> ArchiveFormat | None:
    if head.startswith(GZIP_MAGIC):
        return ArchiveFormat.GZIP
    if head.startswith(ZSTD_MAGIC):
        return ArchiveFormat.ZSTD
    return ArchiveFormat.TAR if head[TAR_MAGIC_PLACE:].startswith(TAR_MAGIC) else None


def name_foreign_format(head: bytes) -> str | None:
    """Name the format of an archive that is not unpacked here; None for everything else."""
    if head.startswith(BZIP2_MAGIC) and head[4:10] in BZIP2_BLOCKS:
        return "bzip2"
    return next((name for name, magic in FOREIGN.items() if head.startswith(magic)), None)


def name_inner_format(name: str, read_head: Callable[[], bytes]) -> str | None:
    """Name the format of a member that is an archive by its name and by its bytes; None for every other."""
    if PurePosixPath(name.lower()).suffix not in ARCHIVE_SUFFIXES:
        return None
    head = read_head()
    zipped = ArchiveFormat.ZIP if head.startswith(ZIP_MAGIC) else None
    return name_foreign_format(head) or zipped or _find_by_head(head)
