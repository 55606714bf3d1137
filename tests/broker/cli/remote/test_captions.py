"""`broker datasets pictures`, `caption` and `label`: captions listed, edited, and ordered from a model."""

import json
from pathlib import Path

import pytest

from tests.broker.cli.conftest import Run
from tests.broker.picture_files import draw_picture


@pytest.fixture
def dataset(customer_run: Run, tmp_path: Path) -> str:
    folder = tmp_path / "style"
    folder.mkdir()
    for number, name in enumerate(["a", "b"]):
        (folder / f"{name}.png").write_bytes(draw_picture(number=number))
    (folder / "b.txt").write_text("red kettle, watermark")
    uploaded = customer_run("datasets", "upload", str(folder), "--json")
    return str(json.loads(uploaded.stdout)["id"])


def test_captions_are_edited_by_name_and_by_tag(customer_run: Run, dataset: str) -> None:
    told = customer_run("datasets", "caption", dataset, "--set", "a.png=an oak lamp", "--dry-run").stdout
    assert "a.png: no caption -> an oak lamp" in told
    assert "1 caption would change; nothing was done." in told
    tags = ["--remove-tag", "watermark", "--add-tag", "studio", "--trigger", "ink"]
    edited = json.loads(customer_run("datasets", "caption", dataset, *tags, "--json").stdout)
    assert (edited["changed"], edited["dataset"]["version"]) == (2, 2)
    shown = customer_run("datasets", "pictures", edited["dataset"]["id"]).stdout
    assert "ink, red kettle, studio" in shown
    assert "a.png" not in customer_run("datasets", "pictures", dataset, "--search", "kettle").stdout
    refused = customer_run("datasets", "caption", dataset, "--set", "a.png")
    assert (refused.exit_code, "write it like" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("closed_pool")
def test_a_labelling_and_a_check_are_ordered_once_their_price_was_shown(customer_run: Run, dataset: str) -> None:
    asked = customer_run("datasets", "label", dataset, "--picture", "b.png", "--conflict", "prepend", "--json")
    assert asked.exit_code == 2
    assert "--yes" in json.loads(asked.stderr.splitlines()[-1])["detail"]
    ordered = customer_run("datasets", "label", dataset, "--trigger", "ink", "--yes", "--json")
    assert ordered.exit_code == 0, ordered.output
    job = json.loads(ordered.stdout)
    assert (job["kind"], job["config"]["trigger"], job["estimate"]["steps"]) == ("auto_label", "ink", 1)
    assert "on_demand" in ordered.stderr
    customer_run("jobs", "cancel", job["id"], "--yes")
    checked = json.loads(customer_run("datasets", "check", dataset, "--yes", "--json").stdout)
    assert (checked["kind"], checked["estimate"]["tokens"]) == ("check", 0)
    customer_run("jobs", "cancel", checked["id"], "--yes")
