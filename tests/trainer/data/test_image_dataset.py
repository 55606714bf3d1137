"""Reading pictures with their captions from the forms that people have."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pricing.training.config import TrainingConfig
from pricing.training.image_workload import repeat_pictures
from trainer.data.image_dataset import read_image_dataset
from trainer.errors import BadInput


def put(path: Path, size: tuple[int, int] = (80, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path)
    return path


def read(folder: Path, **keys: Any) -> Any:
    return read_image_dataset(TrainingConfig(base_model="x", train_data_dir=str(folder), **keys))


def captions(dataset: Any) -> dict[str, str]:
    return {row.name: row.caption for row in dataset.rows}


def test_captions_come_from_metadata_csv(tmp_path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text('file_name,text\na.png,"tea, hot"\n', encoding="utf-8")
    assert captions(read(tmp_path)) == {"a.png": "tea, hot"}


def test_captions_come_from_metadata_jsonl(tmp_path) -> None:
    put(tmp_path / "sub" / "a.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "sub/a.png", "text": "茶"}\n', encoding="utf-8")
    assert captions(read(tmp_path)) == {"sub/a.png": "茶"}


def test_captions_come_from_the_text_file_beside_the_picture(tmp_path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a cup\n", encoding="utf-8")
    assert captions(read(tmp_path)) == {"a.png": "a cup"}


def test_a_kohya_folder_says_repeats_and_the_caption_of_what_has_none(tmp_path) -> None:
    put(tmp_path / "10_my style" / "a.png")
    put(tmp_path / "10_my style" / "b.png")
    (tmp_path / "10_my style" / "b.txt").write_text("own words", encoding="utf-8")
    put(tmp_path / "2_other" / "c.png")
    dataset = read(tmp_path)
    assert captions(dataset) == {
        "10_my style/a.png": "my style",
        "10_my style/b.png": "own words",
        "2_other/c.png": "other",
    }
    assert [row.name for row in repeat_pictures(dataset.rows)].count("10_my style/a.png") == 10
    assert len(repeat_pictures(dataset.rows)) == 22


def test_a_picture_without_a_caption_is_refused_unless_there_is_a_default(tmp_path) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(BadInput, match=r"a\.png has no caption; name it in metadata\.csv.*auto-label.*default_caption"):
        read(tmp_path)
    assert captions(read(tmp_path, default_caption="my style")) == {"a.png": "my style"}


def test_every_bad_file_is_listed_before_anything_is_loaded(tmp_path) -> None:
    for name in ("good.png", "empty.png", "text.jpg"):
        put(tmp_path / name)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    with pytest.raises(
        BadInput, match=r"2 cannot be used(.|\n)*empty\.png has no content(.|\n)*text\.jpg is no picture"
    ):
        read(tmp_path, default_caption="x")


def test_bad_files_are_left_out_if_the_user_says_so(tmp_path) -> None:
    put(tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    dataset = read(tmp_path, default_caption="x", skip_bad_rows=True)
    assert [row.name for row in dataset.rows] == ["good.png"]
    assert [finding.file for finding in dataset.findings] == ["empty.png"]


def test_a_metadata_row_without_its_file_is_told_with_its_line(tmp_path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,tea\nb.png,cup\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"metadata\.csv line 3 names b\.png, which is not there"):
        read(tmp_path)


def test_metadata_of_chinese_windows_is_read(tmp_path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_bytes("file_name,text\na.png,茶\n".encode("gb18030"))
    assert [row.caption for row in read(tmp_path).rows] == ["茶"]


def test_metadata_in_no_encoding_that_can_be_told_is_refused(tmp_path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_bytes("file_name,text\na.png,thé vert\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"metadata\.csv is not UTF-8 .*save the file as UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metadata_path": "nowhere.csv"}, r"metadata_path: nowhere\.csv is not there"),
        ({"reg_data_dir": "nowhere", "default_caption": "x"}, "reg_data_dir: nowhere is not a folder"),
    ],
)
def test_a_place_that_is_not_there_is_told_with_its_key(tmp_path, keys, message) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(BadInput, match=message):
        read(tmp_path, **keys)


def test_a_folder_without_pictures_is_told(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"has no picture \(\.png"):
        read(tmp_path)


def test_there_are_as_many_regularisation_pictures_as_others(tmp_path) -> None:
    for number in range(5):
        put(tmp_path / "train" / f"{number}.png")
    put(tmp_path / "reg" / "1_cup" / "r.png")
    put(tmp_path / "reg" / "s.png")
    dataset = read(tmp_path / "train", default_caption="x", reg_data_dir=str(tmp_path / "reg"))
    repeated = repeat_pictures(dataset.rows)
    assert [row.is_regularisation for row in repeated] == [False] * 5 + [True] * 5
    assert {row.name for row in repeated if row.is_regularisation} == {"1_cup/r.png", "s.png"}
