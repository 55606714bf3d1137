"""A folder is packed as the broker would pack it: sorted, dateless, without what training does not read."""

import io
import os
from pathlib import Path

import pytest

from broker.client.folder import FolderUnusable, list_folder, pack_folder
from broker.datasets.archive import UploadedFile, pack_files


def write_files(folder: Path, **contents: str) -> Path:
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def pack(folder: Path) -> bytes:
    buffer = io.BytesIO()
    pack_folder(list_folder(folder), buffer)
    return buffer.getvalue()


def test_same_files_make_the_same_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    first = write_files(tmp_path / "a", b_dot_txt="red", a_dot_png="1", sub__c_dot_jpg="2")
    second = write_files(tmp_path / "b", sub__c_dot_jpg="2", a_dot_png="1", b_dot_txt="red")
    os.utime(second / "a.png", (1, 1))
    assert pack(first) == pack(second)


def test_tar_is_the_one_that_the_broker_makes_of_these_files(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "a", b_dot_txt="red", a_dot_png="1", sub__c_dot_jpg="2")
    files = [("a.png", b"1"), ("b.txt", b"red"), ("sub/c.jpg", b"2")]
    buffer = io.BytesIO()
    pack_files([UploadedFile(*file) for file in files], buffer)
    assert pack(folder) == buffer.getvalue()


def test_what_training_does_not_read_is_left_out_and_named(tmp_path: Path) -> None:
    names = {"train_dot_jsonl": "{}", "README_dot_md": "x", "model_dot_safetensors": "x", "_dot_cache__a_dot_png": "x"}
    listing = list_folder(write_files(tmp_path / "a", **names))
    assert [file.name for file in listing.files] == ["train.jsonl"]
    assert listing.left_out == [".cache/a.png", "README.md", "model.safetensors"]


def test_progress_ends_with_all_bytes(tmp_path: Path) -> None:
    listing = list_folder(write_files(tmp_path / "a", a_dot_png="123", b_dot_png="45"))
    told: list[tuple[int, int]] = []
    pack_folder(listing, io.BytesIO(), lambda packed, total: told.append((packed, total)))
    assert told == [(3, 5), (5, 5)]


def test_file_that_changes_while_it_is_packed_is_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "a", a_dot_png="123")
    listing = list_folder(folder)
    write_files(folder, a_dot_png="1234")
    with pytest.raises(FolderUnusable, match="has changed"):
        pack_folder(listing, io.BytesIO())


def test_linked_folder_is_not_walked(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "a", a_dot_png="1")
    (folder / "again").symlink_to(folder)
    assert [file.name for file in list_folder(folder).files] == ["a.png"]


@pytest.mark.parametrize("names", [{}, {"notes_dot_md": "x"}])
def test_folder_without_data_is_refused(tmp_path: Path, names: dict[str, str]) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FolderUnusable, match="no file that training reads"):
        list_folder(write_files(tmp_path / "a", **names))


def test_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xce\xe4.png")).write_bytes(b"1")
    with pytest.raises(FolderUnusable, match="not UTF-8; rename it"):
        list_folder(tmp_path)
