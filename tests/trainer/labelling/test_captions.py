"""Auto-label: words put together, a person's captions kept, files whole."""

import csv

import pytest

from tests.trainer.checking.pictures import write_pictures
from trainer.data.quality_samples import list_pictures
from trainer.errors import BadInput
from trainer.labelling.captions import (
    caption_from_name,
    choose_pictures,
    get_metadata_file,
    write_metadata,
    write_sidecars,
)


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "style", 3, captions=False)
    (tmp_path / "style" / "001.txt").write_text("a person wrote this", encoding="utf-8")
    return tmp_path / "style"


def captions_of(folder) -> dict[str, str]:
    return {sample.name: sample.caption for sample in list_pictures(folder).samples}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("10_style/blue-kettle_03 (2).jpg", "blue kettle"),
        ("青瓷茶杯_俯视-01.png", "青瓷茶杯 俯视"),
        ("IMG_2041.JPG", ""),
        ("DSC00012.jpg", ""),
        ("微信图片_20260101.jpg", ""),
        ("oak lamp copy.webp", "oak lamp"),
    ],
)
def test_a_file_name_gives_its_words_unless_a_camera_made_it(name, words) -> None:
    assert caption_from_name(name) == words


def test_a_persons_caption_is_chosen_only_to_be_overwritten(folder) -> None:
    assert [sample.name for sample in choose_pictures(folder, None, overwrite=False)] == ["000.png", "002.png"]
    assert len(choose_pictures(folder, None, overwrite=True)) == 3


def test_sidecars_stand_beside_their_pictures(folder) -> None:
    write_sidecars({"000.png": "红色水壶, 木桌"}, folder)
    assert captions_of(folder) == {"000.png": "红色水壶, 木桌", "001.png": "a person wrote this", "002.png": ""}


def test_the_text_file_of_a_picture_is_not_that_of_another_one_whose_name_has_another_case(folder) -> None:
    """Past fault: `A.PNG` wrote its caption over `a.txt`, which is that of `a.png`."""
    (folder / "000.png").rename(folder / "a.png")
    (folder / "002.png").rename(folder / "A.PNG")
    (folder / "a.txt").write_text("a person wrote this, too", encoding="utf-8")
    write_sidecars({"A.PNG": "another"}, folder)
    told = captions_of(folder)
    assert (told["a.png"], told["A.PNG"]) == ("a person wrote this, too", "another")


def test_metadata_keeps_other_rows_columns_and_the_sidecars_words(folder) -> None:
    file = folder / "metadata.csv"
    file.write_text('file_name,artist,text\n002.png,Lin,"blue, ""quoted"""\n', encoding="utf-8")
    write_metadata({"000.png": "red, round"}, list_pictures(folder).samples, file)
    with file.open(encoding="utf-8", newline="") as opened:
        assert list(csv.reader(opened)) == [
            ["file_name", "artist", "text"],
            ["002.png", "Lin", 'blue, "quoted"'],
            ["000.png", "", "red, round"],
            ["001.png", "", "a person wrote this"],
        ]
    assert captions_of(folder)["001.png"] == "a person wrote this"


def test_a_caption_in_another_case_or_accent_is_written_over_and_not_beside(folder) -> None:
    """Else the picture would have two rows, of which the second is refused, or two text files."""
    (folder / "002.png").rename(folder / "CAFÉ.PNG")
    (folder / "cafe\u0301.TXT").write_text("before", encoding="utf-8")
    write_sidecars({"CAFÉ.PNG": "after"}, folder)
    assert captions_of(folder)["CAFÉ.PNG"] == "after"
    assert len(list(folder.glob("*.[tT]*"))) == 2
    file = folder / "metadata.csv"
    file.write_text("file_name,text\ncafé.png,before\n", encoding="utf-8")
    write_metadata({"CAFÉ.PNG": "later"}, list_pictures(folder).samples, file)
    listing = list_pictures(folder)
    assert (captions_of(folder)["CAFÉ.PNG"], len(listing.samples)) == ("later", 3)
    assert {found.code for found in listing.findings} == {"sidecar_unread"}


def test_a_metadata_file_is_made_where_there_is_none(folder) -> None:
    write_metadata({"000.png": "red kettle"}, list_pictures(folder).samples, get_metadata_file(folder))
    assert captions_of(folder) == {"000.png": "red kettle", "001.png": "a person wrote this", "002.png": ""}


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"file_name,text\nx.png,one, two\n", "file_name,text\n茶".encode("gbk")]
)
def test_a_metadata_file_that_would_be_damaged_is_left_alone(folder, content) -> None:
    (folder / "metadata.csv").write_bytes(content)
    with pytest.raises(BadInput, match=r"metadata\.csv"):
        write_metadata({"000.png": "red"}, list_pictures(folder).samples, folder / "metadata.csv")
    assert (folder / "metadata.csv").read_bytes() == content


def test_captions_in_jsonl_are_not_given_a_second_home(folder) -> None:
    (folder / "metadata.jsonl").write_text("{}")
    with pytest.raises(BadInput, match="--write sidecar"):
        get_metadata_file(folder)
