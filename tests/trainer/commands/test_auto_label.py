"""`trainer auto-label`, with a captioning model, a tagger and file names; and what it refuses."""

import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.trainer.checking.pictures import draw_picture
from tests.trainer.labelling.labelling_models import write_tiny_blip, write_tiny_florence, write_tiny_tagger
from trainer.commands.cli import app
from trainer.data.quality_samples import list_pictures
from trainer.errors import ExitCode
from trainer.labelling.captioner import FolderCaptioner


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    return write_tiny_blip(tmp_path_factory.mktemp("models") / "blip")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "style"
    folder.mkdir()
    for number, name in enumerate(["blue-kettle_1.png", "IMG_0001.png", "oak lamp.png"]):
        draw_picture(number, (80, 60)).save(folder / name)
    (folder / "oak lamp.txt").write_text("a person wrote this", encoding="utf-8")
    return folder


@pytest.fixture
def auto_label(folder):
    def run(*arguments: object):
        return CliRunner().invoke(app, ["auto-label", str(folder), *map(str, arguments)])

    return run


def captions_of(folder) -> dict[str, str]:
    return {sample.name: sample.caption for sample in list_pictures(folder).samples}


def test_a_model_labels_what_has_no_caption_and_says_its_tokens(auto_label, folder, blip) -> None:
    result = auto_label("--model", blip, "--trigger", "slwfry", "--max-new-tokens", 6)
    assert result.exit_code == 0, result.output
    captions = captions_of(folder)
    assert captions["oak lamp.png"] == "a person wrote this"
    assert captions["blue-kettle_1.png"].startswith("slwfry")
    pictures = [draw_picture(number, (80, 60)) for number in range(2)]
    labels = FolderCaptioner.load(blip, max_new_tokens=6).label(pictures)
    tokens = sum(label.tokens for label in labels)
    assert 2 <= tokens <= 12
    assert f"labelled: 2; left as they were: 1; generated tokens: {tokens}" in result.output


def test_florence_labels_too(auto_label, folder, tmp_path) -> None:
    model = write_tiny_florence(tmp_path / "florence")
    result = auto_label("--model", model, "--trigger", "slwfry", "--max-new-tokens", 6)
    assert result.exit_code == 0, result.output
    assert "labelled: 2; left as they were: 1; generated tokens: " in result.output
    assert captions_of(folder)["IMG_0001.png"].startswith("slwfry")


def test_running_again_labels_nothing_and_generates_nothing(auto_label, folder, blip) -> None:
    auto_label("--model", blip, "--max-new-tokens", 6, "--trigger", "ink")
    before = captions_of(folder)
    result = auto_label("--model", blip, "--max-new-tokens", 6, "--trigger", "other")
    assert "labelled: 0; left as they were: 3; generated tokens: 0" in result.output
    assert captions_of(folder) == before


def test_overwrite_replaces_a_persons_caption(auto_label, folder) -> None:
    assert auto_label("--from-filename", "--overwrite", "--write", "sidecar").exit_code == 0
    assert captions_of(folder)["oak lamp.png"] == "oak lamp"


def test_file_names_give_captions_and_a_cameras_name_is_passed_over(auto_label, folder) -> None:
    result = auto_label("--from-filename", "--prefix", "a photo of a")
    assert "IMG_0001.png: the name has no words; not labelled" in result.output
    assert captions_of(folder)["blue-kettle_1.png"] == "a photo of a blue kettle"
    assert captions_of(folder)["IMG_0001.png"] == ""


def test_a_damaged_picture_is_passed_over_with_its_name(auto_label, folder, blip) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = auto_label("--model", blip, "--max-new-tokens", 4, "--trigger", "ink")
    assert result.exit_code == 0, result.output
    assert "broken.png: cannot be decoded" in result.output or "broken.png: is no picture" in result.output
    assert "labelled: 2" in result.output


def test_a_tagger_gives_tags_above_their_limits(auto_label, folder, tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    Image.new("RGB", (20, 20), (40, 200, 250)).save(folder / "blue-kettle_1.png")  # blue first: 0.98, 0.78, 0.16
    result = auto_label("--wd14", write_tiny_tagger(tmp_path / "wd14"), "--drop", "general")
    assert result.exit_code == 0, result.output
    assert captions_of(folder)["blue-kettle_1.png"] == "red kettle"  # 0.78 is too little for a character
    assert "generated tokens: 0" in result.output


def test_without_onnxruntime_the_tagger_says_what_to_install(auto_label, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = auto_label("--wd14", tmp_path / "model.onnx")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "pip install 'lora-broker[label]'" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of --model, --wd14, --from-filename"),
        (("--from-filename", "--model", "x"), "one of --model, --wd14, --from-filename"),
        (("--model", "/nowhere"), "is no model folder"),
        (("--from-filename", "--write", "xml"), "'xml' is neither metadata nor sidecar"),
    ],
)
def test_what_cannot_be_done_is_one_message(auto_label, folder, arguments, message) -> None:
    before = sorted(folder.iterdir())
    result = auto_label(*arguments)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert message in result.output
    assert "Traceback" not in result.output
    assert sorted(folder.iterdir()) == before


def test_a_language_model_is_no_captioning_model(auto_label, tiny_model) -> None:
    result = auto_label("--model", tiny_model)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "is a llama model; captions are made by blip, florence2" in result.output
