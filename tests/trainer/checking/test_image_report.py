"""The report on a folder of pictures: each thing that is wrong, once, with file, level and cure."""

import json

import pytest
from PIL import Image

from pricing.datasets.finding_level import Level
from tests.trainer.checking.pictures import blur, crop, draw_picture, write_pictures
from trainer.checking.check import check_dataset, load_clip_counter, write_kept
from trainer.checking.html import render_html
from trainer.data.image_dataset import read_image_dataset
from trainer.data.quality_report import to_json_value
from trainer.data.quality_samples import list_pictures
from trainer.errors import BadInput
from trainer.labelling.captions import choose_pictures


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "style", 3)
    return tmp_path / "style"


def find(folder, code: str) -> list:
    return [finding for finding in check_dataset(folder).findings if finding.code == code]


def test_fifty_good_pictures_have_no_finding(tmp_path) -> None:
    write_pictures(tmp_path / "style", 50)
    report = check_dataset(tmp_path / "style")
    assert report.findings == []
    assert report.figures["pictures"] == report.figures["with_caption"] == 50
    assert len(report.kept) == 50


def test_too_few_pictures_are_a_warning_of_the_whole_set(folder) -> None:
    (finding,) = check_dataset(folder).findings
    assert (finding.code, finding.level, finding.file, finding.is_bad_row) == ("few_samples", Level.WARNING, "", False)
    assert "has 3 pictures" in finding.message


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("picture_small", lambda file: draw_picture(9, (511, 700)).save(file)),
        ("picture_blurred", lambda file: blur(draw_picture(9)).save(file)),
        ("picture_blank", lambda file: Image.new("RGB", (600, 600)).save(file)),
        ("picture_elongated", lambda file: draw_picture(9, (2000, 520)).save(file)),
        ("file_empty", lambda file: file.write_bytes(b"")),
        ("format_unknown", lambda file: file.write_bytes(b"<html>404</html>")),
    ],
)
def test_what_is_wrong_with_one_picture_is_one_finding(folder, code, make) -> None:
    make(folder / "odd.png")
    (folder / "odd.txt").write_text("green rings on a brown table")
    report = check_dataset(folder)
    assert [(f.code, f.file) for f in report.findings if f.file] == [(code, "odd.png")]
    assert all(finding.cure for finding in report.findings)


def test_a_crop_is_a_duplicate_of_the_larger_picture_whatever_their_names(folder) -> None:
    crop(draw_picture(2, (900, 800)), 0.9).save(folder / "000-crop.png")
    draw_picture(2, (900, 800)).save(folder / "zzz.png")
    found = {finding.file: finding for finding in find(folder, "picture_duplicate")}
    assert set(found) == {"000-crop.png", "002.png"}  # 002.png is the same drawing, smaller
    assert all("zzz.png" in finding.message for finding in found.values())


def test_the_same_bytes_are_called_the_same_file(folder) -> None:
    (folder / "copy.png").write_bytes((folder / "001.png").read_bytes())
    (finding,) = find(folder, "picture_duplicate")
    assert (finding.file, finding.message) == ("copy.png", "is the same file as 001.png")


def test_captions_come_from_metadata_first_and_from_the_file_beside_else(folder) -> None:
    (folder / "metadata.csv").write_text('file_name,text\n001.png,"a blue, a red block"\n', encoding="utf-8")
    samples = {sample.name: sample for sample in list_pictures(folder).samples}
    assert samples["001.png"].caption == "a blue, a red block"
    assert (samples["001.png"].caption_file, samples["001.png"].caption_line) == ("metadata.csv", 2)
    assert samples["000.png"].caption == "red and blue blocks number 0 on a grid"


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("metadata.csv", "file_name,text\ngone.png,a red block\n", "file_missing", 2),
        ("metadata.jsonl", '{"file_name": "000.png"}\n{"file_name"\n', "metadata_row", 2),
        ("metadata.jsonl", '{"text": "no name"}\n', "metadata_row", 1),
        ("metadata.jsonl", '{"file_name": "000.png"}\n{"file_name": "./000.png"}\n', "metadata_row", 2),
    ],
)
def test_a_wrong_row_of_the_metadata_is_told_with_its_line(folder, name, content, code, line) -> None:
    (folder / name).write_text(content, encoding="utf-8")
    (finding,) = find(folder, code)
    assert (finding.file, finding.line, finding.level) == (name, line, Level.ERROR)


def test_metadata_in_another_encoding_is_a_finding(folder) -> None:
    (folder / "metadata.csv").write_bytes("file_name,text\n000.png,thé vert".encode("latin-1"))
    (finding,) = find(folder, "encoding")
    assert (finding.file, finding.cure) == ("metadata.csv", "save the file as UTF-8")


def test_encoding_that_was_guessed_is_a_hint(folder) -> None:
    (folder / "metadata.csv").write_bytes("file_name,text\n000.png,茶杯".encode("gb18030"))
    (finding,) = find(folder, "encoding_guessed")
    assert (finding.file, finding.level) == ("metadata.csv", "hint")


def test_a_caption_past_the_text_encoder_is_told_with_its_exact_tokens(folder) -> None:
    (folder / "000.txt").write_text("red block, " * 40)
    count = load_clip_counter()(", ".join(["red block"] * 40) + ",")
    assert count == 120
    (finding,) = find(folder, "caption_cut")
    assert f"has {count} tokens; the text encoder reads 75" in finding.message


def test_kept_is_a_metadata_file_without_the_bad_rows_and_touches_nothing(folder) -> None:
    blur(draw_picture(9)).save(folder / "odd.png")
    before = sorted(path.name for path in folder.iterdir())
    file = write_kept(check_dataset(folder))
    assert sorted(path.name for path in folder.iterdir()) == before
    assert file is not None
    assert [json.loads(line)["file_name"] for line in file.read_text().splitlines()] == [
        "000.png",
        "001.png",
        "002.png",
    ]
    listed = list_pictures(folder, file)
    assert [sample.name for sample in listed.samples] == ["000.png", "001.png", "002.png"]
    assert listed.findings == []


def test_pictures_that_the_metadata_file_does_not_name_are_a_hint(folder, tiny_config) -> None:
    (folder / "list.csv").write_text("file_name,text\n001.png,a blue block on a red block\n", encoding="utf-8")
    config = tiny_config.model_copy(update={"metadata_path": str(folder / "list.csv")})
    report = check_dataset(folder, config)
    assert report.figures["pictures"] == 1
    (finding,) = [finding for finding in report.findings if finding.code == "picture_unnamed"]
    assert finding.message == "has 2 pictures that list.csv does not name; they are not trained on"


def test_the_page_stands_alone_and_escapes_what_the_data_says(folder) -> None:
    (folder / "000.txt").write_text("<script>alert('red block')</script> on a table")
    page = render_html(check_dataset(folder))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("data:image/jpeg;base64,") >= 3
    assert "http://" not in page
    assert "https://" not in page
    assert "<svg" in page


def test_json_has_everything_but_the_pictures(folder) -> None:
    value = json.loads(json.dumps(to_json_value(check_dataset(folder))))
    assert value["findings_by_level"] == {"error": 0, "warning": 1, "hint": 0}
    assert value["findings"][0]["code"] == "few_samples"
    assert sum(value["histograms"][0]["counts"]) == 3


def test_captions_are_those_that_training_takes(tmp_path, tiny_config) -> None:
    """Past fault: pictures with the caption of their folder, or the default, were judged as if they had none."""
    folder = tmp_path / "style"
    for number, name in enumerate(("4_red paper lantern/a.png", "b.png", "c.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw_picture(number).save(folder / name)
    (folder / "c.txt").write_text("a blue glass bottle")
    config = tiny_config.model_copy(update={"train_data_dir": str(folder), "default_caption": None})
    bare = check_dataset(folder, config)
    assert [found.file for found in bare.findings if found.code == "caption_missing"] == ["b.png"]
    assert bare.counts.describe().startswith("3 pictures read: 2 used, 1 refused (1: has no caption)")
    given = check_dataset(folder, config.model_copy(update={"default_caption": "a round clay teapot"}))
    assert [found.file for found in given.findings if found.code == "caption_missing"] == []
    trained = read_image_dataset(config.model_copy(update={"default_caption": "a round clay teapot"}))
    assert {kept["file_name"]: kept["text"] for kept in given.kept} == {one.name: one.caption for one in trained.rows}
    assert given.counts == trained.counts


@pytest.mark.parametrize("named", [True, False])
def test_a_row_that_is_refused_and_its_picture_are_one_in_check_and_training(folder, tiny_config, named) -> None:
    """Past fault: the picture was counted a second time, as one without a caption."""
    for text in folder.glob("*.txt"):
        text.unlink()
    rows = ["000.png,1girl, solo, long hair", '001.png,"a blue block, a grid"', "002.png,a red block on a grid"]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *rows]), encoding="utf-8")
    told = {"metadata_path": str(folder / "metadata.csv") if named else None, "default_caption": "a teapot"}
    config = tiny_config.model_copy(update={"train_data_dir": str(folder), "skip_bad_rows": True} | told)
    report = check_dataset(folder, config)
    assert report.counts.describe().startswith("3 pictures read: 2 used, 1 refused (1: has more fields")
    assert [found.code for found in report.findings] == ["metadata_row", "few_samples"]
    trained = read_image_dataset(config)
    assert trained.counts == report.counts
    assert [row.name for row in trained.rows] == ["001.png", "002.png"]


def test_auto_label_and_check_say_it_where_the_metadata_refuses_every_picture(folder) -> None:
    (folder / "metadata.csv").write_text("path,caption\n000.png,a\n001.png,b\n002.png,c\n", encoding="utf-8")
    (finding,) = find(folder, "no_sample")
    assert finding.cure == "correct the rows that are refused"
    with pytest.raises(BadInput, match=r"metadata.csv line 2 names no file; each row needs file_name and text"):
        choose_pictures(folder, None, overwrite=False)
