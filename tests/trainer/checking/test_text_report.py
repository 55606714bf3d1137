"""The report on text rows: each with its line, counted in the tokens that training has."""

import csv
import importlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.datasets.finding_level import Level
from pricing.datasets.text_rows import encode_row
from trainer.base_models.config import resolve_base_model
from trainer.checking.check import check_dataset, write_kept
from trainer.checking.placed_rows import place_rows
from trainer.checking.text_report import detect_language
from trainer.commands.make_tiny import make_tiny
from trainer.data.quality_report import make_histogram
from trainer.data.text import read_text_dataset
from trainer.families.chatglm.chatglm import ChatGLM


@pytest.fixture
def write(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()

    def write(*rows: object, name: str = "rows.jsonl"):
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
        return folder

    return write


def row(number: int = 0, completion: str = "A kettle that boils in four minutes.") -> dict[str, str]:
    return {"prompt": f"Write line {number}.", "completion": completion}


def found(report, code: str) -> list[tuple[str, int | None]]:
    return [(finding.file, finding.line) for finding in report.findings if finding.code == code]


def test_fifty_good_rows_have_no_finding(write) -> None:
    report = check_dataset(write(*(row(number) for number in range(50))))
    assert report.findings == []
    assert report.figures == {"rows": 50, "languages": {"en": 50}}


def test_duplicates_are_found_in_other_case_and_spacing(write) -> None:
    report = check_dataset(write(row(1), row(2), row(1, "a  KETTLE that boils\tin four minutes.")))
    assert found(report, "row_duplicate") == [("rows.jsonl", 3)]
    assert "says the same as rows.jsonl line 1" in next(f.message for f in report.findings if f.line == 3)


@pytest.mark.parametrize("bad", ["{", '"text"', '{"prompt": "only"}', '{"prompt": "a", "completion": " "}'])
def test_a_row_that_cannot_be_used_is_told_with_its_line(write, bad) -> None:
    report = check_dataset(write(row(1), "", bad, row(2)))
    assert found(report, "row_unusable") == [("rows.jsonl", 3)]
    assert report.findings[0].level is Level.ERROR


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_file_in_gbk_is_placed_row_by_row_and_the_guess_told(tmp_path, name) -> None:
    content = {
        "rows.csv": "prompt,completion\n问,答\n问,\n",
        "rows.jsonl": '{"prompt": "问", "completion": "答"}\n\n{}',
    }[name]
    (tmp_path / name).write_bytes(content.encode("gbk"))
    report = check_dataset(tmp_path)
    assert report.figures["rows"] == 1
    assert found(report, "row_unusable") == [(name, 3)]
    assert found(report, "encoding_guessed") == [(name, None)]


def test_csv_rows_have_their_lines_though_cells_span_several(write) -> None:
    folder = write('prompt,completion\n"one\nline","two\nlines"\nlast,\n', name="rows.csv")
    assert found(check_dataset(folder), "row_unusable") == [("rows.csv", 5)]


def test_a_file_that_is_not_utf8_or_empty_is_a_finding(write) -> None:
    folder = write(row(1))
    (folder / "more.jsonl").write_bytes(b'{"prompt": "caf\xe9", "completion": "x"}')
    (folder / "none.csv").write_bytes(b"")
    report = check_dataset(folder)
    assert found(report, "row_unusable") == [("more.jsonl", 1)]
    assert found(report, "file_empty") == [("none.csv", None)]


def test_lengths_are_the_tokens_of_the_training(write, tiny_config) -> None:
    folder = write(row(1), {"prompt": "x" * 40, "completion": "y"}, {"prompt": "a", "completion": "b"})
    config = tiny_config.model_copy(update={"train_data_dir": str(folder)})  # a byte is a token; max_length is 32
    report = check_dataset(folder, config)
    assert found(report, "row_cut") == [("rows.jsonl", 1)]
    assert found(report, "row_too_long") == [("rows.jsonl", 2)]
    short = len("a") + len("\n") + len("b") + 1  # and the end token
    assert report.figures["tokens_of_one_epoch"] == 32 + short


def test_a_minor_language_is_a_hint(write) -> None:
    rows = [row(number) for number in range(20)]
    report = check_dataset(write(*rows, row(20, "四分钟烧开一升水，手柄不烫。" * 3)))
    assert report.figures["languages"] == {"en": 20, "zh": 1}
    assert [f.message for f in report.findings if f.code == "language_minor"] == [
        "has 1 of 21 rows in zh: too few to learn, enough to disturb"
    ]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("one kettle, 四", "en"),
        ("Slowferry 慢渡的水壶烧水很快", "zh"),
        ("12 345", "other"),
        ("", "other"),
        ("чай", "other"),
    ],
)
def test_language_is_that_of_most_words(text, language) -> None:
    assert detect_language(text) == language


def test_kept_rows_can_be_trained_on(write, tiny_config) -> None:
    folder = write(row(1), "{", row(1), row(2))
    file = write_kept(check_dataset(folder))
    config = tiny_config.model_copy(update={"train_data_dir": str(folder), "metadata_path": str(file)})
    parsed = read_text_dataset(config)
    assert [one.prompt for one in parsed.rows] == ["Write line 1.", "Write line 2."]
    assert parsed.findings == []


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=50))
def test_a_histogram_counts_every_value_in_its_bar(values) -> None:
    histogram = make_histogram("t", "u", values)
    assert histogram is not None
    assert sum(histogram.counts) == len(values)
    assert len(histogram.edges) == len(histogram.counts) + 1
    assert len(histogram.counts) <= 13
    for low, high, count in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False):
        assert count == sum(low <= value < high for value in values)


@given(st.binary(max_size=200), st.sampled_from(["a.jsonl", "a.csv", "a.json", "a.parquet"]))
def test_whatever_bytes_a_file_has_nothing_is_raised(content, name) -> None:
    placed = place_rows(iter([(name, content)]))
    assert all(row.line >= 1 for row in placed.rows)
    assert all(finding.cure for finding in placed.findings)
    assert placed.tally.sum_up().used == len(placed.rows)


FORMS = {
    "prompt-completion": {"prompt": "Tea?", "completion": "Calm.", "system": "Be brief."},
    "alpaca": {"instruction": "Name a drink.", "input": "hot", "output": "Tea.", "system": "Be brief."},
    "messages": {"messages": [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Calm."}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Tea?"}, {"from": "gpt", "value": "Calm."}]},
    "plain": {"text": "Tea is calm."},
}
NESTED = {"messages", "sharegpt"}


def encode_file(kind: str, record: dict[str, object]) -> bytes:
    """Encode a file of three rows: a good one, one without anything to learn, the good one again."""
    rows = [record, dict.fromkeys(record), record]
    if kind == "jsonl":
        return "\n".join(map(json.dumps, rows)).encode()
    if kind == "json":
        return json.dumps(rows, indent=1).encode()
    written = io.StringIO()
    writer = csv.DictWriter(written, fieldnames=list(record))
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue().encode()


def encode_parquet(record: dict[str, object]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    content = io.BytesIO()
    rows = [record, dict.fromkeys(record), record]
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (kind, form)
        for kind in ("jsonl", "json", "csv", "parquet")
        for form in FORMS
        if kind != "csv" or form not in NESTED  # a cell holds no list
    ],
)
def test_every_form_in_every_file_is_judged_as_training_reads_it(kind, form, tmp_path, tiny_config) -> None:
    content = encode_parquet(FORMS[form]) if kind == "parquet" else encode_file(kind, FORMS[form])
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / f"rows.{kind}").write_bytes(content)
    config = tiny_config.model_copy(update={"train_data_dir": str(folder), "skip_bad_rows": True})
    report, parsed = check_dataset(folder, config), read_text_dataset(config)
    assert report.figures["rows"] == len(parsed.rows) == 2
    first = 2 if kind == "csv" else 1
    assert found(report, "row_unusable") == [(f"rows.{kind}", first + 1)]
    assert [f.line for f in parsed.findings] == [first + 1]
    assert found(report, "row_duplicate") == [(f"rows.{kind}", first + 2)]
    kept = read_text_dataset(config.model_copy(update={"metadata_path": str(write_kept(report))}))
    assert kept.rows == parsed.rows[:1]


def test_a_list_that_cannot_be_read_is_one_finding_with_its_cure(write) -> None:
    folder = write('{"prompt": "a", "completion": "b"}', name="rows.json")
    report = check_dataset(folder)
    assert found(report, "row_unusable") == [("rows.json", 1)]
    assert any("name it .jsonl" in finding.message for finding in report.findings)


def test_talks_that_end_alike_but_begin_differently_are_no_duplicates(write) -> None:
    def talk(opening: str) -> dict[str, object]:
        words = [("user", opening), ("assistant", "Yes."), ("user", "Why?"), ("assistant", "It is calm.")]
        return {"messages": [{"role": role, "content": text} for role, text in words]}

    report = check_dataset(write(talk("Tea?"), talk("Rain?"), talk("tea?")))
    assert found(report, "row_duplicate") == [("rows.jsonl", 3)]


def test_lengths_are_those_of_the_family_and_its_context(write, tiny_config, tmp_path) -> None:
    """Past fault: a ChatGLM's answers were counted without the mark that ends each of them in training."""
    model = make_tiny("chatglm", tmp_path / "glm")
    folder = write(row(1), {"prompt": "a", "completion": "b" * 5000})
    config = tiny_config.model_copy(update={"base_model": str(model), "max_length": 100_000})
    source = resolve_base_model(str(model))
    context = json.loads((model / "config.json").read_text())["seq_length"]
    report = check_dataset(folder, config)
    tokenizer = ChatGLM.read_tokenizer(source)
    rows = read_text_dataset(config.model_copy(update={"train_data_dir": str(folder)})).rows
    encoded = [encode_row(one, tokenizer.text_format, tokenizer.encode, max_length=context) for one in rows]
    assert report.figures["tokens_of_one_epoch"] == sum(len(one.token_ids) for one in encoded)
    assert (report.counts.read, report.counts.cut) == (2, 1)
