"""Pictures in a Parquet file, as Hugging Face data sets keep them, taken out as files with their captions.

A column of pictures is a struct of `bytes` and `path`; captions stand in a column of text beside it, and what says that
a row is not to be learnt in columns of its own. The rows become a folder of their own, named as the file, with a
`metadata.jsonl`: from there on it is a data set of pictures like others.
Source: the storage of the features `Image` and `Value("string")` of the library `datasets`.
"""

import importlib
import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from broker.datasets.archive_names import ArchiveRefused
from broker.datasets.data_files import DataFile, StoredFile, UploadedFile
from broker.datasets.findings import DatasetFinding
from broker.persistence.pieces import open_piece
from pricing.datasets.finding_level import Level
from pricing.datasets.parquet_pages import ParquetDamaged, ParquetTooLarge
from pricing.datasets.parquet_rows import iter_parquet, open_parquet
from pricing.datasets.picture_listing import CAPTION_KEYS, FILE_KEYS, PICTURE_KEYS, PICTURE_SUFFIXES
from pricing.datasets.telling_keys import SWITCHED_BY, is_empty

SUFFIX = ".parquet"
MOST_CAPTION_CHARACTERS = 20_000
MOST_SWITCH_CHARACTERS = 40  # no word that is understood is longer
METADATA = "metadata.jsonl"
# Of a picture whose row gives it no name.
SUFFIX_OF = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp"}


def holds_pictures(file: DataFile) -> bool:
    """Tell whether a Parquet file has a column of pictures; one that cannot be read has none."""
    if not file.name.lower().endswith(SUFFIX):
        return False
    try:
        with file.open() as opened:
            return _find_picture_column(open_parquet(opened).schema_arrow) is not None
    except Exception:  # noqa: BLE001 (what is wrong with it, or missing here, is told when its rows are read)
        return False


def _find_picture_column(schema: Any) -> str | None:
    """Find the column of a schema that holds pictures."""
    types = importlib.import_module("pyarrow").types
    for field in schema:
        if types.is_struct(field.type):
            inner = {field.type.field(place).name: field.type.field(place).type for place in range(len(field.type))}
            if "bytes" in inner and (types.is_binary(inner["bytes"]) or types.is_large_binary(inner["bytes"])):
                return str(field.name)
    return None


def take_pictures(file: DataFile, spool: BinaryIO, max_bytes: int) -> Iterator[DataFile | DatasetFinding]:
    """Take the pictures of a Parquet file out into `spool`, at most `max_bytes` of them; yields them as files.

    Raises: ArchiveRefused.
    """
    folder = PurePosixPath(file.name).with_suffix("")
    rows = list[str]()
    written = 0
    for number, picture, told in _iter_rows(file):
        content = None if picture is None else picture.get("bytes")
        if not content:
            message = f"row {number} has no bytes of a picture; write the pictures into the file (embed_external_files)"
            yield DatasetFinding(file.name, number, Level.ERROR, message)
            continue
        written += len(content)
        if written > max_bytes:
            raise ArchiveRefused(f"more than {max_bytes} bytes unpacked; send a smaller data set")
        name = f"{number:06d}{_find_suffix(picture or {}, content)}"
        start = spool.seek(0, io.SEEK_END)
        spool.write(content)
        spool.flush()
        yield StoredFile(str(folder / name), len(content), partial(open_piece, spool, start, len(content)))
        if told:
            rows.append(json.dumps({FILE_KEYS[0]: name} | told))
    if rows:
        yield UploadedFile(str(folder / METADATA), "\n".join(rows).encode())


def _iter_rows(file: DataFile) -> Iterator[tuple[int, Mapping[str, Any] | None, dict[str, Any]]]:
    """Iterate over the rows: the number, from 1, the picture, and what is told of it, its caption under one name.

    Raises: ArchiveRefused.
    """
    pyarrow = importlib.import_module("pyarrow")
    with file.open() as opened:
        try:
            schema = open_parquet(opened).schema_arrow
            column, names = _find_picture_column(schema), schema.names
            assert column is not None, "`holds_pictures` has found it"
            _refuse_other_pictures(file.name, names)
            caption = next((key for key in CAPTION_KEYS if key in names), None)
            switches = [name for name in SWITCHED_BY if name in names]
            wanted = [name for name in (column, caption, *switches) if name is not None]
            for number, row in enumerate(iter_parquet(opened, wanted), start=1):
                told = {name: _shorten(row[name]) for name in switches if not is_empty(row[name])}
                text = None if caption is None else row[caption]
                if isinstance(text, str) and text.strip():
                    told[CAPTION_KEYS[0]] = text[:MOST_CAPTION_CHARACTERS]
                yield number, row[column], told
        except (pyarrow.ArrowException, OSError, ParquetDamaged, ParquetTooLarge) as error:
            raise ArchiveRefused(f"{file.name} cannot be read as Parquet: {error}; write it again") from error


def _shorten(value: Any) -> bool | float | str:
    return value if isinstance(value, bool | int | float) else str(value)[:MOST_SWITCH_CHARACTERS]


def _refuse_other_pictures(name: str, columns: list[str]) -> None:
    stray = next((key for key in PICTURE_KEYS if key in columns), None)
    if stray is not None:
        raise ArchiveRefused(f"{name}: {stray} changes how a picture is learnt, and is not trained here; leave it out")


def _find_suffix(picture: Mapping[str, Any], content: bytes) -> str:
    """Find the suffix of a picture: that of its own name, else that of its first bytes."""
    own = PurePosixPath(str(picture.get("path") or "")).suffix.lower()
    if own in PICTURE_SUFFIXES:
        return own
    if content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in SUFFIX_OF.items() if content.startswith(magic)), ".jpg")
