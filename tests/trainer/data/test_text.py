"""Finding the rows on disk."""

import json

import pytest

from trainer.data.text import read_text_dataset
from trainer.errors import BadInput


def test_every_file_of_the_folder_is_read_in_the_order_of_names(tiny_config, tmp_path) -> None:
    data = tmp_path / "mixed"
    (data / "sub").mkdir(parents=True)
    (data / "b.csv").write_text("prompt,completion\nb,2\n", encoding="utf-8")
    (data / "a.jsonl").write_text(json.dumps({"prompt": "a", "completion": "1"}) + "\n{}\n", encoding="utf-8")
    (data / "sub" / "c.jsonl").write_text(json.dumps({"prompt": "c", "completion": "3"}), encoding="utf-8")
    (data / "notes.txt").write_text("not a row")
    config = tiny_config.model_copy(update={"train_data_dir": str(data)})
    with pytest.raises(BadInput, match=r"1 cannot be used.*skip_bad_rows: true.*\n  a\.jsonl line 2 prompt and compl"):
        read_text_dataset(config)
    with pytest.raises(BadInput, match=r"1 cannot be used"):
        read_text_dataset(config.model_copy(update={"max_bad_share": 0.2}))
    assert len(read_text_dataset(config.model_copy(update={"max_bad_share": 0.25})).rows) == 3
    parsed = read_text_dataset(config.model_copy(update={"skip_bad_rows": True}))
    assert [row.prompt for row in parsed.rows] == ["a", "b", "c"]
    assert [(finding.file, finding.line) for finding in parsed.findings] == [("a.jsonl", 2)]


def test_metadata_path_names_the_one_file(tiny_config, tmp_path) -> None:
    file = tmp_path / "one.csv"
    file.write_text("prompt,completion\nonly,this\n", encoding="utf-8")
    parsed = read_text_dataset(tiny_config.model_copy(update={"metadata_path": str(file)}))
    assert [row.prompt for row in parsed.rows] == ["only"]


@pytest.mark.parametrize("content", [None, "", '{"prompt": "x", "completion": " "}'])
def test_a_data_set_with_no_usable_row_is_refused_with_what_is_wrong(tiny_config, tmp_path, content) -> None:
    data = tmp_path / "empty"
    data.mkdir()
    if content is not None:
        (data / "rows.jsonl").write_text(content)
    told = {None: "no .jsonl", "": "rows.jsonl: without a row"}.get(content, "completion is empty")
    words = rf"train_data_dir: no usable row in .*{told}.*a row has prompt and completion, instruction and output"
    with pytest.raises(BadInput, match=words):
        read_text_dataset(tiny_config.model_copy(update={"train_data_dir": str(data)}))


def test_a_place_that_is_not_there_is_refused_with_its_key(tiny_config, tmp_path) -> None:
    with pytest.raises(BadInput, match=r"train_data_dir: .* is not a folder"):
        read_text_dataset(tiny_config.model_copy(update={"train_data_dir": str(tmp_path / "no")}))
    with pytest.raises(BadInput, match=r"metadata_path: .* cannot be read"):
        read_text_dataset(tiny_config.model_copy(update={"metadata_path": str(tmp_path / "no.csv")}))
    with pytest.raises(BadInput, match="train_data_dir: this key is required"):
        read_text_dataset(tiny_config.model_copy(update={"train_data_dir": None}))


def test_a_refusal_counts_every_row_and_hidden_or_unread_files_are_told(tiny_config, tmp_path) -> None:
    """Past fault: 153 of 300 rows were lost with five lines printed."""
    data = tmp_path / "mixed"
    (data / ".ipynb_checkpoints").mkdir(parents=True)
    bad = ['{"prompt": "a", "completion": "b", "label": false}'] * 153
    good = ['{"prompt": "a", "completion": "b", "label": true}'] * 147
    (data / "a.jsonl").write_text("\n".join(bad + good))
    (data / ".ipynb_checkpoints" / "a-checkpoint.jsonl").write_text(good[0])
    (data / "b.jsonl.gz").write_bytes(b"")
    config = tiny_config.model_copy(update={"train_data_dir": str(data)})
    with pytest.raises(BadInput, match=r"300 rows read: 147 used, 153 refused \(153: label: false"):
        read_text_dataset(config)
    parsed = read_text_dataset(config.model_copy(update={"skip_bad_rows": True}))
    assert len(parsed.rows) == 147
    told = [(found.file, found.level) for found in parsed.findings if found.level != "error"]
    assert told == [("b.jsonl.gz", "warning"), (".ipynb_checkpoints/a-checkpoint.jsonl", "hint")]
