"""`trainer check`, as a person at a desk meets it."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tests.trainer.checking.pictures import draw_picture, write_pictures
from trainer.checking.check import check_dataset
from trainer.commands.cli import app
from trainer.errors import ExitCode

REPOSITORY = Path(__file__).parents[3]


def check(*arguments: object):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "style", 2)
    return tmp_path / "style"


def test_findings_are_printed_with_file_and_cure_and_do_not_fail(folder) -> None:
    (folder / "001.txt").write_text("nice")
    result = check(folder)
    assert result.exit_code == 0, result.output
    assert "warning: 001.png caption says nice, which no picture shows; name what is to be seen" in result.output


def test_what_cannot_be_trained_on_is_an_error_and_an_exit_code(folder) -> None:
    (folder / "broken.png").write_bytes(b"")
    (folder / "broken.txt").write_text("a red block on a table")
    result = check(folder)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "error: broken.png has no content (0 bytes); copy the file again, or delete it" in result.output
    assert "Traceback" not in result.output


def test_json_and_page_are_written_where_they_are_wanted(folder, tmp_path) -> None:
    result = check(folder, "--json", tmp_path / "out" / "report.json", "--html", tmp_path / "out" / "report.html")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "report.json").read_text())["kind"] == "images"
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


def test_rows_are_left_out_only_on_request_and_the_data_stays(folder, tmp_path) -> None:
    draw_picture(5, (100, 100)).save(folder / "small.png")
    (folder / "small.txt").write_text("a red block on a table")
    assert check(folder).exit_code == 0
    assert not (tmp_path / "style.kept.jsonl").exists()
    result = check(folder, "--leave-out")
    assert f"metadata_path: {tmp_path / 'style.kept.jsonl'}" in result.output
    kept = (tmp_path / "style.kept.jsonl").read_text().splitlines()
    assert [json.loads(line)["file_name"] for line in kept] == ["000.png", "001.png"]
    assert (folder / "small.png").is_file()


def test_with_a_configuration_text_is_counted_as_it_is_trained(tmp_path) -> None:
    config = {"base_model": "smollm2-135m-instruct", "max_length": 128}
    (tmp_path / "lora.yaml").write_text(yaml.safe_dump(config))
    result = check(REPOSITORY / "examples" / "brand_tone", "--config", tmp_path / "lora.yaml")
    assert result.exit_code == 0, result.output
    assert "text, nothing found" in result.output
    assert "tokens of one epoch: 5398" in result.output


@pytest.mark.parametrize("arguments", [("/nowhere",), (REPOSITORY, "--config", "/nowhere.yaml")])
def test_a_place_that_is_not_there_is_one_message(arguments) -> None:
    result = check(*arguments)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "/nowhere" in result.output
    assert "Traceback" not in result.output


def test_an_empty_folder_has_no_usable_row(tmp_path) -> None:
    result = check(tmp_path)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "the data set has no usable row" in result.output


def find_scikit_image_pictures() -> Path | None:
    """Its 29 real pictures, where the package is there; it is not imported."""
    spec = importlib.util.find_spec("skimage")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next(
        (Path(folder) / "data" for folder in folders if (Path(folder) / "data" / "astronaut.png").is_file()), None
    )


def test_of_real_pictures_only_the_blurred_and_the_double_are_called_so() -> None:
    """One is wrong: `color.png`, a colour gradient without an edge. The others are blurred, or are doubles, indeed."""
    folder = find_scikit_image_pictures()
    if folder is None:
        pytest.skip("pip install --no-deps scikit-image brings the pictures")
    found: dict[str, set[str]] = {}
    for finding in check_dataset(folder).findings:
        found.setdefault(finding.code, set()).add(finding.file)
    assert found["picture_blurred"] - {"multipage.tif"} == {"cell.png", "clock_motion.png", "color.png"}
    assert found["picture_duplicate"] == {"chessboard_RGB.png", "motorcycle_right.png"}
    assert "picture_blank" not in found
