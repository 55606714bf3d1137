"""Archives: what goes in comes out; what is unsafe or broken is refused, and nothing else ever happens."""

import bz2
import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from broker.datasets import archive_members
from broker.datasets.archive import ArchiveRefused, DataFile, UploadedFile, pack_files, read_file, unpack_uploads
from broker.datasets.archive_format import find_format, name_foreign_format
from broker.datasets.archive_names import is_clutter
from broker.datasets.findings import DatasetFinding
from pricing.datasets.picture_listing import is_picture_name
from tests.broker.packed_files import read_packed
from tests.broker.picture_files import zip_as_windows
from tests.properties import examples

MEGABYTE = 1024 * 1024
PARTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\\\0"), min_size=1, max_size=40).filter(
    lambda part: part not in {".", ".."} and not is_clutter(f"{part}/{part}") and len(part.encode()) <= 255
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


def tzst_of(files: dict[str, bytes]) -> bytes:
    return zstandard.compress(tar_of(files))


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a.zip": zip_of,
    "a.tar": tar_of,
    "a.tar.gz": tgz_of,
    "a.tar.zst": tzst_of,
}


def unpack_all(
    *uploads: DataFile, max_bytes: int = MEGABYTE, notes: list[DatasetFinding] | None = None
) -> dict[str, bytes]:
    with unpack_uploads(uploads, max_bytes=max_bytes, notes=notes) as files:
        return {file.name: read_file(file) for file in files}


def unpack(name: str, content: bytes, *, max_bytes: int = MEGABYTE) -> dict[str, bytes]:
    """Unpack and pack as an upload is: what a member holds is read when it is packed."""
    with unpack_uploads([UploadedFile(name, content)], max_bytes=max_bytes) as files:
        return dict(read_packed(pack(files)))


def pack(files: Sequence[DataFile]) -> bytes:
    buffer = io.BytesIO()
    packed = pack_files(files, buffer)
    assert (packed.size_bytes, packed.sha256) == (len(buffer.getvalue()), hashlib.sha256(buffer.getvalue()).hexdigest())
    return buffer.getvalue()


def is_a_tree(files: dict[str, bytes]) -> bool:
    """No name is a folder of another."""
    return not any(other.startswith(f"{name}/") for name in files for other in files)


def are_plain(files: dict[str, bytes]) -> bool:
    """No file is an archive, by its name or by its first bytes: uploaded, it would be unpacked."""
    return not any(
        find_format(name, io.BytesIO(content)) or name_foreign_format(content) for name, content in files.items()
    )


@given(FILES.filter(is_a_tree))
def test_what_is_packed_is_read_again(files: dict[str, bytes]) -> None:
    packed = pack([UploadedFile(name, content) for name, content in files.items()])
    assert dict(read_packed(packed)) == files


@given(FILES.filter(is_a_tree).filter(are_plain))
def test_order_of_the_upload_does_not_change_the_packed_bytes(files: dict[str, bytes]) -> None:
    uploads = [UploadedFile(name, content) for name, content in files.items()]
    with unpack_uploads(uploads, max_bytes=MEGABYTE) as one, unpack_uploads(uploads[::-1], max_bytes=MEGABYTE) as two:
        assert pack(one) == pack(two)


@pytest.mark.parametrize("name", PACKERS)
@given(files=FILES.filter(is_a_tree))
@examples(50)
def test_archive_is_its_members(name: str, files: dict[str, bytes]) -> None:
    assert unpack(name, PACKERS[name](files)) == files


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.data())
@examples(200)
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
@examples(100)
def test_junk_is_refused_or_empty(name: str, content: bytes) -> None:
    with suppress(ArchiveRefused):
        assert unpack(name, content) == {}


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "\\x", "..\\x", "a\\..\\..\\x", "..", "/", ".", "", "a\0b"]
)
def test_name_that_is_no_plain_relative_one_is_refused(name: str) -> None:
    with pytest.raises(ArchiveRefused, match="relative names"):
        unpack_all(UploadedFile(name, b"x"), max_bytes=10)


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
        unpack_all(*(UploadedFile(*file) for file in files), max_bytes=10_000)


def test_limit_counts_every_byte_of_every_upload_and_the_last_one_still_fits() -> None:
    uploads = [UploadedFile("a.zip", zip_of({"a": b"x" * 60})), UploadedFile("b", b"y" * 40)]
    assert len(unpack_all(*uploads, max_bytes=100)) == 2
    with pytest.raises(ArchiveRefused, match="more than 99 bytes"):
        unpack_all(*uploads, max_bytes=99)


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


def say(name: str, content: bytes) -> tuple[dict[str, bytes], list[DatasetFinding]]:
    """Unpack, and tell what is said of what was left out or guessed."""
    notes = list[DatasetFinding]()
    return unpack_all(UploadedFile(name, content), notes=notes), notes


def test_links_and_clutter_get_a_word() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("a.jsonl", tarfile.SYMTYPE), ("b", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("._train.jsonl", "data/.DS_Store", "style/__MACOSX/1.png", "Thumbs.db"):
            archive.addfile(tarfile.TarInfo(name))
    files, notes = say("a.tar", buffer.getvalue())
    assert files == {}
    assert [(note.file, note.level) for note in notes] == [
        ("a.jsonl", "error"),
        ("b", "hint"),
        ("pipe", "hint"),
        ("a.tar", "hint"),
    ]
    assert "4 files that a system put there are left out, such as ._train.jsonl" in notes[-1].message


def test_link_in_a_zip_is_no_file_with_its_target_in_it() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("1.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    files, (note,) = say("a.zip", buffer.getvalue())
    assert files == {}
    assert "is a link, which is not followed" in note.message


CHINESE = ["青花瓷/碗.png", "青花瓷/山水画卷.png", "read me.txt"]


@pytest.mark.parametrize(
    ("codec", "level", "word"),
    [("gbk", "hint", "read as GBK, such as 青花瓷/碗.png"), ("utf-8", "hint", "read as UTF-8")],
)
def test_names_that_say_no_encoding_are_read_and_the_report_says_how(codec: str, level: str, word: str) -> None:
    """A folder's name in GBK became a caption in mojibake, and cost more tokens."""
    files, (note,) = say("a.zip", zip_as_windows(dict.fromkeys(CHINESE, b"x"), codec))
    assert sorted(files) == sorted(CHINESE)
    assert (note.file, note.level) == ("a.zip", level)
    assert word in note.message


@pytest.mark.parametrize(("name", "codec"), [("さくら.png", "shift_jis"), ("Ünïcödé.png", "cp437")])
def test_names_in_no_encoding_that_can_be_told_are_cp437_with_a_warning(name: str, codec: str) -> None:
    files, (note,) = say("a.zip", zip_as_windows({name: b"x"}, codec))
    assert (name in files) == (codec == "cp437")
    assert note.level == "warning"
    assert "pack the folder again with UTF-8 names" in note.message


def test_unicode_path_of_info_zip_says_the_name() -> None:
    raw, name = b"abc.png", "青花瓷.png".encode()
    field = b"\x01" + struct.pack("<L", zlib.crc32(raw)) + name
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("abc.png")
        info.extra = struct.pack("<HH", 0x7075, len(field)) + field
        archive.writestr(info, b"x")
    assert say("a.zip", buffer.getvalue()) == ({"青花瓷.png": b"x"}, [])
    stale = buffer.getvalue().replace(field[1:5], b"\0\0\0\0")
    assert say("a.zip", stale) == ({"abc.png": b"x"}, []), "a renamed member has the field of its old name"


def test_names_of_a_tar_in_gbk_are_read() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="gbk") as archive:
        archive.addfile(tarfile.TarInfo("青花瓷/碗.png"))
    files, (note,) = say("a.tar", buffer.getvalue())
    assert (list(files), note.level) == (["青花瓷/碗.png"], "hint")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.7z", bytes.fromhex("377abcaf271c0004"), "7z"),
        ("a.zip", bytes.fromhex("526172211a070100"), "RAR"),
        ("a.tar.bz2", bz2.compress(b"x"), "bzip2"),
        ("a.bz2", bz2.compress(b""), "bzip2"),
        ("a.tar.xz", lzma.compress(b"x"), "xz"),
        ("a.lz4", bytes.fromhex("04224d1800"), "LZ4"),
        ("train", bytes.fromhex("377abcaf271c0004"), "7z"),
    ],
)
def test_archive_that_is_not_unpacked_is_named_with_the_cure(name: str, content: bytes, word: str) -> None:
    """It was passed over without a word."""
    with pytest.raises(ArchiveRefused, match=rf"{name} is a {word} archive.*pack the folder as \.zip or \.tar\.gz"):
        unpack(name, content)


def test_archive_is_known_by_its_bytes_whatever_it_is_called() -> None:
    files = {"train.jsonl": b"x"}
    assert (
        unpack("data", zip_of(files)) == unpack("data.zip", tar_of(files)) == unpack("data.bin", tgz_of(files)) == files
    )
    assert unpack("data", tzst_of(files)) == files


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_single_file_is_unzipped_under_its_own_name(suffix: str, compress: Callable[[bytes], bytes]) -> None:
    assert unpack(f"a.jsonl{suffix}", compress(b"{}")) == {"a.jsonl": b"{}"}
    with pytest.raises(ArchiveRefused, match=r"rows is zipped, and no archive; name it as its file"):
        unpack("rows", compress(b"{}"))


def test_tar_whose_header_claims_to_be_endless_is_refused() -> None:
    """Such a header is read into memory whole, and a zipped one costs its sender nothing."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 64 * MEGABYTE
    with pytest.raises(ArchiveRefused, match="headers that are too long"):
        unpack("a.tgz", gzip.compress(info.tobuf() + b"\0" * 64 * MEGABYTE, 1), max_bytes=100 * MEGABYTE)


def test_headers_that_are_too_long_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past faults: each header had a bound, all of them had none; nor had a zip's directory, which is read whole."""
    monkeypatch.setattr(archive_members, "MAX_HEADERS_BYTES", 100_000)
    monkeypatch.setattr(archive_members, "MAX_DIRECTORY_BYTES", 100_000)
    packed, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(20):
            info = tarfile.TarInfo(f"{number}.txt")
            info.pax_headers = {"comment": "x" * 8000}
            archive.addfile(info)
    with zipfile.ZipFile(zipped, "w") as archive_of_zip:
        for number in range(20):
            entry = zipfile.ZipInfo(f"{number}.txt")
            entry.comment = b"x" * 8000
            archive_of_zip.writestr(entry, b"")
    for name, content in (("a.tar", packed.getvalue()), ("a.zip", zipped.getvalue())):
        with pytest.raises(ArchiveRefused, match=f"{name} has headers that are too long; pack it again"):
            unpack(name, content)
    monkeypatch.undo()
    assert len(unpack("a.tar", packed.getvalue())) == len(unpack("a.zip", zipped.getvalue())) == 20


def test_tar_with_holes_is_refused() -> None:
    """A list of all holes is kept of it: a small file may have millions of these."""
    info = tarfile.TarInfo("a.txt")
    info.type = tarfile.GNUTYPE_SPARSE
    with pytest.raises(ArchiveRefused, match=r"a\.txt is packed with holes; pack it again without them"):
        unpack("a.tar", info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)


def test_zip_whose_members_share_their_bytes_is_refused_before_it_is_unpacked() -> None:
    """A bomb of one file: each entry of the directory points at the same compressed bytes."""
    content = bytearray(zip_of({"a": b"\0" * MEGABYTE}))
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry = content[start:end]
    copies = b"".join(entry[:46] + name.encode() for name in "abcdefghij")
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 10, 10, len(copies), start, 0)
    with pytest.raises(ArchiveRefused, match="more than 5242880 bytes"):
        unpack("a.zip", bytes(content[:start] + copies + tail), max_bytes=5 * MEGABYTE)


def test_damaged_member_is_named() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", b"one")
        archive.writestr("b.txt", b"twenty-two")
    with pytest.raises(ArchiveRefused, match=r"b\.txt cannot be unpacked: Bad CRC-32"):
        unpack("a.zip", buffer.getvalue().replace(b"twenty-two", b"twenty-too"))


def test_archive_in_an_archive_is_an_error_that_is_told() -> None:
    files, notes = say(
        "a.zip", zip_of({"b.zip": zip_of({"1.png": b"x"}), "c/d.7z": bytes.fromhex("377abcaf271c"), "e.txt": b"x"})
    )
    assert files == {"e.txt": b"x"}
    assert [(note.file, note.level) for note in notes] == [("b.zip", "error"), ("c/d.7z", "error")]
    assert "is a zip archive inside an archive" in notes[0].message


def test_names_that_differ_in_case_only_get_a_word() -> None:
    files, (note,) = say("a.zip", zip_of({"A.png": b"1", "a.png": b"2", "b.png": b"3"}))
    assert len(files) == 3
    assert (note.file, note.level) == ("a.png", "warning")


@pytest.mark.slow
def test_archive_of_nothing_but_folders_has_a_limit() -> None:
    """Members that give no file were not counted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.type = tarfile.DIRTYPE
        for _ in range(80_001):
            buffer.write(info.tobuf())
            archive.offset += 512
    with pytest.raises(ArchiveRefused, match="more than 80000 members"):
        unpack("a.tar", buffer.getvalue(), max_bytes=100 * MEGABYTE)


def test_clutter_that_is_uploaded_by_itself_is_left_out_as_it_is_in_an_archive() -> None:
    """Otherwise its rows would be counted at the upload and missing when they are read."""
    assert unpack("__MACOSX/train.jsonl", b"x") == {}


def test_an_upload_is_read_as_its_folder_is() -> None:
    """Past fault: the trainer left `lost+found/` and Synology's thumbnails aside, and an upload kept them."""
    system = ["lost+found/1.png", "@eaDir/1.png", "a/$RECYCLE.BIN/1.png", "Thumbs/1.png", "a\\_vti_cnf\\1.png"]
    copies = ["b~.png", "#b.png", ".~lock.b.png", ".hidden/1.png"]
    stored = unpack("a.zip", zip_of(dict.fromkeys([*system, *copies, "1.png", "#2.png"], b"x")))
    assert stored.keys() == {*copies, "1.png", "#2.png"}
    assert {name for name in stored if is_picture_name(name)} == {"1.png", "#2.png"}


def test_encrypted_zip_is_refused_with_the_reason() -> None:
    content = bytearray(zip_of({"a.jsonl": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveRefused, match=r"a\.zip: a\.jsonl is encrypted; pack it again without a password"):
        unpack("a.zip", bytes(content))
