"""Archives: what goes in comes out; what is unsafe or broken is refused, and nothing else ever happens."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.datasets.archive import ArchiveRefused, UploadedFile, pack_files, read_packed, unpack_uploads

MEGABYTE = 1024 * 1024
PARTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\\\0"), min_size=1, max_size=40).filter(
    lambda part: part not in {".", "..", ".DS_Store", "Thumbs.db", "__MACOSX"} and len(part.encode()) <= 255
)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(NAMES, st.binary(max_size=2000), min_size=1, max_size=6)


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tgz_of(files: dict[str, bytes]) -> bytes:
    return gzip.compress(tar_of(files))


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {"a.zip": zip_of, "a.tar": tar_of, "a.tar.gz": tgz_of}


def unpack(name: str, content: bytes, *, max_bytes: int = MEGABYTE) -> dict[str, bytes]:
    return {file.name: file.content for file in unpack_uploads([UploadedFile(name, content)], max_bytes=max_bytes)}


def is_a_tree(files: dict[str, bytes]) -> bool:
    """No name is a folder of another."""
    return not any(other.startswith(f"{name}/") for name in files for other in files)


@given(FILES.filter(is_a_tree))
@settings(deadline=None)
def test_what_is_packed_is_read_again(files: dict[str, bytes]) -> None:
    packed = pack_files([UploadedFile(name, content) for name, content in files.items()])
    assert dict(read_packed(packed)) == files


@given(FILES.filter(is_a_tree))
@settings(deadline=None)
def test_order_of_the_upload_does_not_change_the_packed_bytes(files: dict[str, bytes]) -> None:
    uploads = [UploadedFile(name, content) for name, content in files.items()]
    once = pack_files(unpack_uploads(uploads, max_bytes=MEGABYTE))
    assert pack_files(unpack_uploads(uploads[::-1], max_bytes=MEGABYTE)) == once


@pytest.mark.parametrize("name", PACKERS)
@given(files=FILES.filter(is_a_tree))
@settings(deadline=None, max_examples=50)
def test_archive_is_its_members(name: str, files: dict[str, bytes]) -> None:
    assert unpack(name, PACKERS[name](files)) == files


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_damaged_archive_is_refused_or_read_and_never_breaks_the_reader(name: str, data: st.DataObject) -> None:
    """Some bytes are changed, and the end may be cut off: only ArchiveRefused may come of it."""
    content = bytearray(
        PACKERS[name]({"train.jsonl": b'{"prompt": "a", "completion": "b"}' * 20, "b/c.csv": b"x" * 300})
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ArchiveRefused):
        unpack(name, bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("name", PACKERS)
@given(content=st.binary(max_size=600))
@example(content=b"")
@settings(deadline=None, max_examples=100)
def test_junk_is_refused_or_empty(name: str, content: bytes) -> None:
    with suppress(ArchiveRefused):
        assert unpack(name, content) == {}


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "\\x", "..\\x", "a\\..\\..\\x", "..", "/", ".", "", "a\0b"]
)
def test_name_that_is_no_plain_relative_one_is_refused(name: str) -> None:
    with pytest.raises(ArchiveRefused, match="relative names"):
        unpack_uploads([UploadedFile(name, b"x")], max_bytes=10)


def test_names_are_made_plain() -> None:
    assert unpack("a.tar", tar_of({"./data/./train.jsonl": b"x"})) == {"data/train.jsonl": b"x"}
    assert unpack("a.zip", zip_of({"data\\train.jsonl": b"x"})) == {"data/train.jsonl": b"x"}


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ([("a.jsonl", b"1"), ("a.jsonl", b"2")], "comes twice"),
        ([("a.jsonl", b"1"), ("./a.jsonl", b"2")], "comes twice"),
        ([("a", b"1"), ("a/b", b"2")], "a file and a folder"),
        ([("a/b/c", b"1"), ("a", b"2")], "a file and a folder"),
        ([("x" * 256, b"")], "too long a name"),
        ([("/".join(["x" * 200] * 6), b"")], "too long a name"),
        ([("图" * 86, b"")], "too long a name"),
        ([("a\udcff", b"")], "not UTF-8"),
    ],
)
def test_files_that_no_disk_could_hold_are_refused(files: list[tuple[str, bytes]], word: str) -> None:
    with pytest.raises(ArchiveRefused, match=word):
        unpack_uploads([UploadedFile(*file) for file in files], max_bytes=10_000)


def test_limit_counts_every_byte_of_every_upload_and_the_last_one_still_fits() -> None:
    uploads = [UploadedFile("a.zip", zip_of({"a": b"x" * 60})), UploadedFile("b", b"y" * 40)]
    assert len(unpack_uploads(uploads, max_bytes=100)) == 2
    with pytest.raises(ArchiveRefused, match="more than 99 bytes"):
        unpack_uploads(uploads, max_bytes=99)


def test_too_many_files_are_refused() -> None:
    with pytest.raises(ArchiveRefused, match="20000 files"):
        unpack("a.zip", zip_of({str(number): b"" for number in range(20_001)}))


def test_bomb_in_a_member_that_is_left_out_is_refused_all_the_same() -> None:
    """A past fault: what was skipped was unpacked without a limit."""
    with pytest.raises(ArchiveRefused, match="smaller data set"):
        unpack("a.tgz", gzip.compress(tar_of({".DS_Store": b"\0" * 80 * MEGABYTE}), 1), max_bytes=MEGABYTE)


def test_links_devices_and_clutter_are_left_out() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("__MACOSX/._a.jsonl", "data/.DS_Store", "Thumbs.db", "a.jsonl"):
            archive.addfile(tarfile.TarInfo(name))
    assert unpack("a.tar", buffer.getvalue()) == {"a.jsonl": b""}


def test_clutter_that_is_uploaded_by_itself_is_left_out_as_it_is_in_an_archive() -> None:
    """Otherwise its rows would be counted at the upload and missing when they are read."""
    assert unpack("__MACOSX/train.jsonl", b"x") == {}


def test_encrypted_zip_is_refused_with_the_reason() -> None:
    content = bytearray(zip_of({"a.jsonl": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveRefused, match="encrypted"):
        unpack("a.zip", bytes(content))
